import { fastifyApolloHandler } from '@as-integrations/fastify';
import { createApollo } from './apollo.js';
import type { Config } from './config.js';
import { createContext } from './context.js';
import { createGuard } from './guard/guard.js';
import { createHttpServer } from './http/http-server.js';
import { routerOnly } from './http/router-only.js';
import { createLogger, type Logger } from './logger.js';
import { createSchema } from './schema.js';
import { ZitadelClient } from './zitadel/zitadel-client.js';
import { ZitadelConnection } from './zitadel/zitadel-connection.js';

export interface RunningServer {
  /** The address that it listens at. */
  url: string;
  /** Stops accepting, lets the requests in flight end, and closes what was opened; once, however often it is called. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The composition root: everything that lives as long as the server is made here. */
export async function startServer(
  config: Config,
  logger: Logger = createLogger(config.log.level),
): Promise<RunningServer> {
  const connection = new ZitadelConnection(config.zitadel);
  const zitadel = new ZitadelClient(connection);
  // What the guard watches over is a call, perhaps with a read before it, each with a time of its own.
  const guard = await createGuard(config.guard, 2 * config.zitadel.timeoutMs, logger);
  const apollo = createApollo(createSchema(), config.graphql, logger);
  const http = await createHttpServer(config.http, logger, () => guard.state());

  await apollo.start();
  const { routerSecrets } = config.http;
  http.post(
    '/graphql',
    { onRequest: routerSecrets.length > 0 ? [routerOnly(routerSecrets)] : [] },
    fastifyApolloHandler(apollo, {
      context: ({ headers }) => Promise.resolve(createContext(headers, zitadel, guard, config.sms)),
    }),
  );

  const stop = async () => {
    await http.close();
    await apollo.stop();
    await connection.close();
    guard.close();
  };
  try {
    const url = await http.listen({ host: config.http.host, port: config.http.port });
    let stopped: Promise<void> | undefined;
    return { url, [Symbol.asyncDispose]: () => (stopped ??= stop()) };
  } catch (error) {
    await stop();
    throw error;
  }
}
