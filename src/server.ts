import { version as node } from 'node:process';
import type { FastifyInstance } from 'fastify';
import type { DestinationStream } from 'pino';
import { ConfigError, type Config } from './config/config.js';
import { PhoneChanges } from './contact-phone/phone-changes.js';
import { createApollo } from './graphql/apollo.js';
import { serveGraphQL } from './graphql/endpoint.js';
import { createSchema, rootFields } from './graphql/schema.js';
import { createHttpServer, graphqlPath, metricsEndpoint, serveHealth } from './http/http-server.js';
import type { Examples } from './http/playground.js';
import { RouterOnly } from './http/refusals.js';
import { createLimits } from './limits/limits.js';
import { createLogger, type Logger } from './logger.js';
import { releaseAll, shutDown, type Release } from './process.js';
import { changedSecrets, effectiveLimits } from './config/shown-config.js';
import { Metrics } from './telemetry/metrics.js';
import { createCallLog, createRequestLog, recordFaults } from './telemetry/request-log.js';
import { recordRequests } from './telemetry/record-requests.js';
import { startTracing } from './telemetry/tracing.js';
import { version } from './version.js';
import { ZitadelClient } from './zitadel/zitadel-client.js';
import { ZitadelConnection } from './zitadel/zitadel-connection.js';

export interface RunningServer {
  /** The address that it listens on. */
  url: string;
  metricsUrl: string;
  logger: Logger;
  /**
   * Switches to the secrets of another configuration, and ignores the rest of it. Requests in flight keep the old ones.
   *
   * @returns the names of those that have changed
   * @throws {ConfigError} if Redis is up, but not with its new URL; then nothing changes
   */
  rotate(next: Config): Promise<string[]>;
  /**
   * Stops accepting connections, waits for the requests in flight, and closes everything. Does this only once, even if called again.
   *
   * @throws {CutOffError} if that took too long
   * @throws {AggregateError} if something could not be closed
   */
  [Symbol.asyncDispose](): Promise<void>;
}

interface Options {
  /** Where to log instead of standard output. */
  logTo?: DestinationStream;
  /** The initial contents of the playground. */
  examples?: Examples;
  /** Adds more pages, before the server listens. */
  pages?: (http: FastifyInstance) => unknown;
}

/** Starts the server. If anything fails, closes everything that was opened. */
export async function startServer(config: Config, options: Options = {}): Promise<RunningServer> {
  const logger = await createLogger(config.log, options.logTo);
  const releases: Release[] = [];
  try {
    return await build(config, logger, releases, options);
  } catch (error) {
    const failures: unknown[] = [];
    await releaseAll(releases, failures);
    if (failures.length > 0) logger.error({ err: new AggregateError(failures) }, 'Could not close everything');
    throw error;
  }
}

/**
 * The composition root: creates everything that lives as long as the server.
 *
 * @param releases collects a function to close each thing that is opened; run them in reverse order
 */
async function build(
  config: Config,
  logger: Logger,
  releases: Release[],
  { examples, pages }: Options,
): Promise<RunningServer> {
  const tracing = await startTracing(config.traces, config.zitadel, logger);
  releases.push(() => tracing?.close());
  // Closed late, so that the shutdown can be monitored.
  const { port: metricsPort } = config.metrics;
  const metricsHttp =
    metricsPort === undefined ? undefined : (await createHttpServer(config.http, logger, metricsEndpoint)).app;
  if (metricsHttp) recordFaults(metricsHttp, logger);
  releases.push(() => {
    // No grace period: these can only be scrapes or stalled clients.
    metricsHttp?.server.closeAllConnections();
    return metricsHttp?.close();
  });
  const connection = new ZitadelConnection(config.zitadel, logger);
  releases.push(() => connection.close());
  const zitadel = new ZitadelClient(connection);
  const limits = await createLimits(config.limits, config.zitadel.timeoutMs, logger);
  releases.push(() => limits.close());
  const schema = createSchema();
  const apollo = createApollo(schema, config.graphql, logger);
  await apollo.start();
  releases.push(() => apollo.stop());

  const { app: http, drain: endKeepAlive } = await createHttpServer(config.http, logger);
  releases.push(() => http.close());
  recordFaults(http, logger);
  const metrics = new Metrics(rootFields(schema), config.sms.countries);
  const observers = [createRequestLog(logger), metrics.add];
  const requests = recordRequests(http, graphqlPath, tracing, observers, createCallLog(logger));
  const dependencyStates = () => ({ zitadel: connection.health.state, ...limits.state() });
  metrics.serve(metricsHttp ?? http, requests.inFlight, dependencyStates);
  const health = serveHealth(http, dependencyStates);
  if (config.playground) {
    // Imported only if needed: importing is slow.
    const { servePlayground } = await import('./http/playground.js');
    await servePlayground(http, examples);
  }
  await pages?.(http);

  const { routerSecrets } = config.http;
  const routerOnly = routerSecrets.length > 0 ? new RouterOnly(routerSecrets) : undefined;
  serveGraphQL(http, routerOnly ? [routerOnly.hook] : [], {
    apollo,
    zitadel,
    limits,
    changes: new PhoneChanges(config.zitadel.timeoutMs),
    sms: config.sms,
  });

  const drain = () => {
    health.drain();
    endKeepAlive();
  };
  const finish = async () => {
    await http.close();
    // Requests whose clients have hung up are still being processed.
    await requests.idle();
  };
  const cut = () => {
    http.server.closeAllConnections();
    metricsHttp?.server.closeAllConnections();
    return connection.destroy();
  };
  logger.info({ version, node }, 'Starting');
  logger.info({ limits: effectiveLimits(config) }, 'Effective limits');
  const { host, port } = config.http;
  const metricsOrigin = metricsHttp && (await listen(metricsHttp, host, metricsPort ?? 0, 'METRICS_PORT'));
  const url = await listen(http, host, port, 'PORT');
  connection.health.probeIfDue();
  let stopped: Promise<void> | undefined;
  let secretsOf = config;
  return {
    url,
    metricsUrl: `${metricsOrigin ?? url}/metrics`,
    logger,
    async rotate(next) {
      const changed = changedSecrets(secretsOf, next);
      await limits.rotate(next.limits);
      connection.rotate(next.zitadel);
      routerOnly?.rotate(next.http.routerSecrets);
      secretsOf = next;
      return changed;
    },
    [Symbol.asyncDispose]: () => (stopped ??= shutDown(config.shutdown, { drain, finish, cut, releases })),
  };
}

/** @throws {ConfigError} with the variable at fault: the port if another process uses it, otherwise the host */
async function listen(app: FastifyInstance, host: string, port: number, variable: string): Promise<string> {
  try {
    return await app.listen({ host, port });
  } catch (error) {
    if (!(error instanceof Error && 'code' in error)) throw error;
    const isPort = error.code === 'EADDRINUSE' || error.code === 'EACCES';
    throw new ConfigError(`${isPort ? variable : 'HOST'} cannot be used: ${error.message}`, { cause: error });
  }
}
