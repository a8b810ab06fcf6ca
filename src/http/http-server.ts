import cors from '@fastify/cors';
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import type { Config } from '../config.js';
import { closeConnectionsInTime } from './closing.js';
import { refuse, refuseRaw } from './refusal.js';

/** How long a request may take to come in, to its last byte; what is done with it afterwards is not counted. */
const requestTimeoutMs = 10_000;

/**
 * Fastify without its habit of logging each request's URL, with health checks and refusals in the shape of GraphQL errors.
 *
 * @param stateOfParts what to tell beside being ready
 */
export async function createHttpServer(
  config: Config['http'],
  logger: FastifyBaseLogger,
  stateOfParts: () => object,
): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    requestTimeout: requestTimeoutMs,
    // A request that comes in while the server closes is answered: gateways repeat a 503, also a mutation.
    return503OnClosing: false,
    frameworkErrors: (_error, _request, reply) => void refuse(reply, 400),
    clientErrorHandler: refuseRaw,
  });
  app.removeContentTypeParser('text/plain');
  if (config.corsOrigins.length > 0) {
    await app.register(cors, { origin: config.corsOrigins, methods: ['POST'], strictPreflight: false });
  }
  closeConnectionsInTime(app, requestTimeoutMs);

  app.setErrorHandler((error: { statusCode?: number }, _request, reply) => {
    const { statusCode = 500 } = error;
    if (statusCode >= 500) logger.error({ err: error }, 'Unexpected error');
    return refuse(reply, statusCode);
  });
  app.setNotFoundHandler((request, reply) => {
    const isGraphQL = request.url.split('?')[0] === '/graphql';
    return isGraphQL ? refuse(reply.header('allow', 'POST'), 405) : refuse(reply, 404);
  });

  app.get('/health/live', () => ({ status: 'ok' }));
  app.get('/health/ready', () => ({ status: 'ok', ...stateOfParts() }));
  return app;
}
