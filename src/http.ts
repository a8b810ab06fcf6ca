import cors from '@fastify/cors';
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyReply } from 'fastify';
import type { Config } from './config.js';
import { errorMessages } from './errors.js';

/** What the HTTP layer says when it refuses a request before GraphQL sees it, by status. */
const refusals: Partial<Record<number, string>> = {
  400: 'The request has no body that can be read as JSON.',
  404: 'There is nothing here: GraphQL is at /graphql.',
  405: 'GraphQL is served by POST alone: a URL with variables in it would end up in logs.',
  413: 'The request body is too large.',
  415: 'The content type must be application/json.',
};

/** Fastify without its habit of logging each request's URL, with health checks and refusals in the shape of GraphQL errors. */
export async function createHttp(config: Config['http'], logger: FastifyBaseLogger): Promise<FastifyInstance> {
  const app = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    // A request that comes in while the server closes is answered: gateways repeat a 503, also a mutation.
    return503OnClosing: false,
  });
  app.removeContentTypeParser('text/plain');
  if (config.corsOrigins.length > 0) await app.register(cors, { origin: config.corsOrigins, methods: ['POST'] });

  closeConnectionsInTime(app);

  app.setErrorHandler((error: { statusCode?: number }, _request, reply) => {
    const { statusCode = 500 } = error;
    if (statusCode >= 400 && statusCode < 500) return refuse(reply, statusCode);
    logger.error({ err: error }, 'Unexpected error');
    return reply.code(500).send(errorBody('INTERNAL_SERVER_ERROR', errorMessages.INTERNAL_SERVER_ERROR));
  });
  app.setNotFoundHandler((request, reply) => {
    const isGraphQL = request.url.split('?')[0] === '/graphql';
    return isGraphQL ? refuse(reply.header('allow', 'POST'), 405) : refuse(reply, 404);
  });

  for (const path of ['/health/live', '/health/ready']) app.get(path, () => ({ status: 'ok' }));
  return app;
}

/**
 * Lets `app.close()` end with the last request in flight. A connection that is kept alive, or that never sent a request, as
 * browsers open them in advance, would hold it up for a minute and more.
 */
function closeConnectionsInTime(app: FastifyInstance): void {
  let closing = false;
  let inFlight = 0;
  const closeWhenIdle = () => {
    if (closing && inFlight === 0) app.server.closeAllConnections();
  };
  app.server.on('request', (_request, response) => {
    inFlight += 1;
    response.once('close', () => {
      inFlight -= 1;
      closeWhenIdle();
    });
  });
  app.addHook('preClose', (done) => {
    closing = true;
    closeWhenIdle();
    done();
  });
  // So that the client does not send its next request into a closing connection.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (closing) reply.header('connection', 'close');
    done(null, payload);
  });
}

function refuse(reply: FastifyReply, statusCode: number): FastifyReply {
  return reply.code(statusCode).send(errorBody('BAD_REQUEST', refusals[statusCode] ?? 'The request cannot be served.'));
}

const errorBody = (code: string, message: string) => ({ errors: [{ message, extensions: { code } }] });
