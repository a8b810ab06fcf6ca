import { randomUUID } from 'node:crypto';
import cors from '@fastify/cors';
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyRequest } from 'fastify';
import type { HttpConfig } from '../config.js';
import { closeConnectionsInTime, closeStalledConnections, type Connections } from './connections.js';
import { refuse, refuseRaw } from './refusals.js';
import { readBodies } from './request-body.js';

/** How long a request may take to arrive in full. The time to answer it does not count. */
const requestTimeoutMs = 10_000;
/** Headers arrive in one piece, except from clients that want to tie up a connection. */
const headersTimeoutMs = 5_000;

/** The longest time for which Chromium caches the answer to a preflight. */
const preflightMaxAgeSeconds = 2 * 60 * 60;

/** A client's request id that is safe to log and to return. */
const requestId = /^[\w.:/=-]{1,128}$/;

export const graphqlPath = '/graphql';

/** The main endpoint of a server, and the messages that direct clients to it. */
interface Endpoint {
  path: string;
  method: string;
  otherPath: string;
  otherMethod: string;
}

const graphqlEndpoint: Endpoint = {
  path: graphqlPath,
  method: 'POST',
  otherPath: `Not found. The GraphQL endpoint is ${graphqlPath}.`,
  otherMethod: 'Use POST. GET is disabled so that variables never end up in access logs.',
};

/** For the server on METRICS_PORT. */
export const metricsEndpoint: Endpoint = {
  path: '/metrics',
  method: 'GET',
  otherPath: 'Not found. The metrics endpoint is /metrics.',
  otherMethod: 'Use GET.',
};

/** Fastify with limits, without logging the URL of each request, and with refusals in the shape of GraphQL errors. */
export async function createHttpServer(
  config: HttpConfig,
  logger: FastifyBaseLogger,
  endpoint = graphqlEndpoint,
): Promise<{ app: FastifyInstance; drain: Connections['drain'] }> {
  const logRefusal = (requestId: string | undefined, httpStatus: number) =>
    logger.info({ requestId, httpStatus }, 'Refused a malformed request');
  const app = fastify({
    loggerInstance: logger,
    // A child logger for each request would cost nearly as much as writing the request's one log line.
    childLoggerFactory: (parent) => parent,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: config.bodyLimitBytes,
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: config.keepAliveTimeoutMs,
    http: { headersTimeout: headersTimeoutMs, connectionsCheckingInterval: 1_000, requireHostHeader: false },
    genReqId({ headers: { 'x-request-id': given } }) {
      return typeof given === 'string' && requestId.test(given) ? given : randomUUID();
    },
    // Answer requests that arrive while the server closes. Gateways retry a 503, even for a mutation.
    return503OnClosing: false,
    frameworkErrors(_error, request, reply) {
      logRefusal(request.id, 400);
      refuse(reply.header('cache-control', 'no-store'), 400);
    },
    clientErrorHandler(error, socket) {
      const httpStatus = refuseRaw(error, socket, connections.lastAnswer(socket));
      if (httpStatus !== undefined) logRefusal(undefined, httpStatus);
    },
  });
  const connections = closeConnectionsInTime(app);
  closeStalledConnections(app, connections.open);
  app.addHook('onRequest', (_request, reply, done) => {
    // Otherwise a gateway might cache a phone number and serve it to other callers.
    reply.header('cache-control', 'no-store');
    done();
  });
  refuseInPlaceOfNode(app, logRefusal);
  readBodies(app, config.bodyLimitBytes);
  if (config.corsOrigins.length > 0) {
    await app.register(cors, {
      origin: config.corsOrigins,
      methods: ['POST'],
      // Browsers count down to `resendAvailableAt` by the clock of `Date`.
      exposedHeaders: ['date', 'x-request-id'],
      strictPreflight: false,
      maxAge: preflightMaxAgeSeconds,
    });
  }

  const tooLarge = `The request body is too large: the limit is ${config.bodyLimitBytes} bytes.`;
  app.setErrorHandler(({ statusCode = 500 }: { statusCode?: number }, _request, reply) => {
    // The playground's file server answers 403 for a path outside its folder. Here, 403 is reserved for a wrong router secret.
    if (statusCode === 403) return refuse(reply, 404, endpoint.otherPath);
    return refuse(reply, statusCode, statusCode === 413 ? tooLarge : undefined);
  });
  app.setNotFoundHandler((request, reply) => {
    if (request.url.split('?')[0] !== endpoint.path) return refuse(reply, 404, endpoint.otherPath);
    return refuse(reply.header('allow', endpoint.method), 405, endpoint.otherMethod);
  });
  return { app, drain: connections.drain };
}

/**
 * Refuses two kinds of requests that Node would refuse with an empty body: those without `Host`, and those with an `Expect` other than
 * 100-continue.
 */
function refuseInPlaceOfNode(app: FastifyInstance, log: (requestId: string, httpStatus: number) => void): void {
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.addHook('onRequest', (request, reply, done) => {
    const httpStatus = refusedStatus(request);
    if (httpStatus === undefined) {
      done();
      return;
    }
    log(request.id, httpStatus);
    refuse(reply, httpStatus, httpStatus === 400 ? 'Set the Host header: HTTP/1.1 requires it.' : undefined);
  });
}

function refusedStatus({ headers: { host, expect }, raw }: FastifyRequest): number | undefined {
  if (host === undefined && raw.httpVersion === '1.1') return 400;
  return expect === undefined || expect.toLowerCase() === '100-continue' ? undefined : 417;
}

interface Health {
  /** From now on, reports not ready, so load balancers send requests elsewhere. */
  drain: () => void;
}

/**
 * Serves `/health/live` and `/health/ready`. ZITADEL or Redis being down is reported, but does not make this server unready: clients need
 * a GraphQL error for their mutations, and if one instance of this server cannot reach ZITADEL, usually none can.
 *
 * @param dependencyStates those of ZITADEL and Redis
 */
export function serveHealth(app: FastifyInstance, dependencyStates: () => object): Health {
  let draining = false;
  app.get('/health/live', () => ({ status: 'ok' }));
  app.get('/health/ready', (_request, reply) => {
    reply.code(draining ? 503 : 200).send({ status: draining ? 'draining' : 'ok', ...dependencyStates() });
  });
  return {
    drain() {
      draining = true;
    },
  };
}
