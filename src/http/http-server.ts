import { randomUUID } from 'node:crypto';
import cors from '@fastify/cors';
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify';
import type { HttpConfig } from '../config.js';
import { closeConnectionsInTime, type Connections } from './closing.js';
import { codeOfRefusal, refuse, refuseRaw } from './refusal.js';
import { readBodies } from './request-body.js';
import { endUntakenAnswers, watchAnswer } from './untaken-answers.js';

/** How long a request may take to come in, to its last byte; what is done with it afterwards is not counted. */
const requestTimeoutMs = 10_000;
/** Its headers come in one piece from everybody but those who want to keep a connection busy. */
const headersTimeoutMs = 5_000;

/** What may stand in a log, and goes back to whoever sent it. */
const requestId = /^[\w.:/=-]{1,128}$/;

const noRequest = 'Refused what is no request';

/** Fastify with limits, without its habit of logging each request's URL, and with refusals in the shape of GraphQL errors. */
export async function createHttpServer(
  config: HttpConfig,
  logger: FastifyBaseLogger,
): Promise<{ app: FastifyInstance; drain: Connections['drain'] }> {
  const app = fastify({
    loggerInstance: withoutChildren(logger),
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: config.bodyLimitBytes,
    requestTimeout: requestTimeoutMs,
    http: { headersTimeout: headersTimeoutMs, connectionsCheckingInterval: 1_000 },
    genReqId({ headers: { 'x-request-id': given } }) {
      return typeof given === 'string' && requestId.test(given) ? given : randomUUID();
    },
    // A request that comes in while the server closes is answered: gateways repeat a 503, also a mutation.
    return503OnClosing: false,
    frameworkErrors(_error, request, reply) {
      logger.info({ requestId: request.id, httpStatus: 400 }, noRequest);
      watchAnswer(reply.raw);
      refuse(reply, 400);
    },
    clientErrorHandler(error, socket) {
      const httpStatus = refuseRaw(error, socket, connections.lastAnswer(socket));
      if (httpStatus !== undefined) logger.info({ httpStatus }, noRequest);
    },
  });
  const connections = closeConnectionsInTime(app);
  endUntakenAnswers(app, connections.isDue);
  readBodies(app, config.bodyLimitBytes);
  if (config.corsOrigins.length > 0) {
    await app.register(cors, {
      origin: config.corsOrigins,
      methods: ['POST'],
      exposedHeaders: ['x-request-id'],
      strictPreflight: false,
    });
  }

  app.setErrorHandler((error: { statusCode?: number }, request, reply) => {
    const { statusCode = 500 } = error;
    if (statusCode >= 500) {
      // Where `recordRequests` keeps a record of it, the cause stands in the request's own line.
      if (request.record) request.record.fail(codeOfRefusal(statusCode), error);
      else logger.error({ requestId: request.id, err: error }, 'Unexpected error');
    }
    // The playground says this of a path outside its folder. 403 is about the router's secret here.
    return refuse(reply, statusCode === 403 ? 404 : statusCode);
  });
  app.setNotFoundHandler((request, reply) => {
    const isGraphQL = request.url.split('?')[0] === '/graphql';
    return isGraphQL ? refuse(reply.header('allow', 'POST'), 405) : refuse(reply, 404);
  });
  return { app, drain: connections.drain };
}

/** Fastify makes a child of its logger for each request, which would cost as much as the one line that there is of it. */
function withoutChildren(logger: FastifyBaseLogger): FastifyBaseLogger {
  const itsOwnChild = Object.create(logger) as FastifyBaseLogger;
  itsOwnChild.child = () => itsOwnChild;
  return itsOwnChild;
}
