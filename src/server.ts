import { fastify } from 'fastify';
import type { DestinationStream } from 'pino';
import { createApollo } from './apollo.js';
import type { Config } from './config.js';
import { createContext } from './context.js';
import { execute } from './execute.js';
import { createGuard } from './guard/guard.js';
import { closeConnectionsInTime } from './http/closing.js';
import { serveGraphQL } from './http/graphql.js';
import { serveHealth } from './http/health.js';
import { createHttpServer } from './http/http-server.js';
import type { Examples } from './http/playground.js';
import { routerOnly } from './http/router-only.js';
import { createLogger } from './logger.js';
import { createSchema } from './schema.js';
import { shutDown } from './shutdown.js';
import { Metrics } from './telemetry/metrics.js';
import { createRequestLog } from './telemetry/request-log.js';
import { recordRequests } from './telemetry/record-requests.js';
import type { RequestRecord } from './telemetry/request-record.js';
import { startTracing } from './telemetry/tracing.js';
import { ZitadelClient } from './zitadel/zitadel-client.js';
import { ZitadelConnection } from './zitadel/zitadel-connection.js';

export interface RunningServer {
  /** The address that it listens at. */
  url: string;
  metricsUrl: string;
  /**
   * Stops accepting, lets the requests in flight end, and closes what was opened; once, however often it is called.
   *
   * @throws {CutOffError} when that took too long
   */
  [Symbol.asyncDispose](): Promise<void>;
}

interface Options {
  /** Where the log goes in place of standard output. */
  logTo?: DestinationStream;
  /** What the playground begins with. */
  examples?: Examples;
}

/** The composition root: everything that lives as long as the server is made here. */
export async function startServer(config: Config, { logTo, examples }: Options = {}): Promise<RunningServer> {
  const logger = await createLogger(config.log, logTo);
  const tracing = config.traces.endpoint && (await startTracing(config.traces.endpoint, logger));
  const connection = new ZitadelConnection(config.zitadel, logger);
  const zitadel = new ZitadelClient(connection);
  const guard = await createGuard(config.guard, config.zitadel.timeoutMs, logger);
  const apollo = createApollo(createSchema(), config.graphql, logger);

  const http = await createHttpServer(config.http, logger);
  const logRequest = createRequestLog(logger);
  const requests = recordRequests(http, tracing, (record) => {
    logRequest(record);
    metrics.add(record);
  });
  const metrics = new Metrics(requests.underWay);
  const health = serveHealth(http, () => ({ zitadel: connection.health.state, ...guard.state() }));
  const { port: metricsPort } = config.metrics;
  const metricsHttp = metricsPort === undefined ? http : fastify();
  if (metricsHttp !== http) closeConnectionsInTime(metricsHttp);
  metrics.serve(metricsHttp);
  if (config.playground) {
    // Loaded only where it is wanted: it takes a while.
    const { servePlayground } = await import('./http/playground.js');
    await servePlayground(http, examples);
  }

  await apollo.start();
  const { routerSecrets } = config.http;
  const admission = routerSecrets.length > 0 ? [routerOnly(routerSecrets)] : [];
  serveGraphQL(http, admission, (parameters, { raw, record }) =>
    // Every request for GraphQL has a record.
    execute(apollo, parameters, createContext(raw, record as RequestRecord, zitadel, guard, config.sms)),
  );

  const finish = async () => {
    await http.close();
    // Some callers may have hung up.
    await requests.idle();
    await connection.close();
  };
  const release = async () => {
    await apollo.stop();
    guard.close();
    await tracing?.close();
    await metricsHttp.close();
  };
  const cut = () => {
    http.server.closeAllConnections();
    void connection.destroy();
  };
  try {
    const { host, port } = config.http;
    const url = await http.listen({ host, port });
    const metricsOrigin = metricsPort === undefined ? url : await metricsHttp.listen({ host, port: metricsPort });
    connection.health.probeIfDue();
    let stopped: Promise<void> | undefined;
    return {
      url,
      metricsUrl: `${metricsOrigin}/metrics`,
      [Symbol.asyncDispose]: () =>
        (stopped ??= shutDown(config.shutdown, { drain: health.drain, finish, cut, release })),
    };
  } catch (error) {
    await finish();
    await release();
    throw error;
  }
}
