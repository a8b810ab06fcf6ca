import { randomUUID } from 'node:crypto';
import cors from '@fastify/cors';
import { fastify, LogController, type FastifyBaseLogger, type FastifyInstance, type FastifyRequest } from 'fastify';
import type { HttpConfig } from '../config/config.js';
import type { Failure } from '../failure.js';
import { closeConnectionsInTime, closeStalledConnections, type Connections } from './connections.js';
import { refuse, refuseRaw } from './refusals.js';
import { readBodies } from './request-body.js';

/** How long a request may take to arrive in full. The time to answer it does not count. */
const requestTimeoutMs = 10_000;
/** Headers arrive in one piece, except from clients that want to tie up a connection. */
const headersTimeoutMs = 5_000;

/** The longest time for which Chromium caches the answer to a preflight. */
const preflightMaxAgeSeconds = 2 * 60 * 60;

/** A client's request id that is safe to log and to return: not what may be a phone number. */
const requestId = /^(?![\d.:/-]{7,17}$)[\w.:/=-]{1,128}$/;

export const graphqlPath = '/graphql';

/** The main endpoint of a server, and the messages that direct clients to it. */
interface Endpoint {
  path: string;
  method: string;
  otherPath: string;
  otherMethod: string;
  /** If CORS is off. */
  preflight: string;
}

const graphqlEndpoint: Endpoint = {
  path: graphqlPath,
  method: 'POST',
  otherPath: `Not found. The GraphQL endpoint is ${graphqlPath}.`,
  otherMethod: 'Use POST. GET is disabled so that variables never end up in access logs.',
  preflight: 'Browsers may not call this server: CORS_ORIGINS is not set.',
};

/** For the server on METRICS_PORT. */
export const metricsEndpoint: Endpoint = {
  path: '/metrics',
  method: 'GET',
  otherPath: 'Not found. The metrics endpoint is /metrics.',
  otherMethod: 'Use GET.',
  preflight: 'Browsers may not read metrics.',
};

/** Fastify with limits, without logging the URL of each request, and with refusals in the shape of GraphQL errors. */
export async function createHttpServer(
  config: HttpConfig,
  logger: FastifyBaseLogger,
  endpoint = graphqlEndpoint,
): Promise<{ app: FastifyInstance; drain: Connections['drain'] }> {
  // The logger makes the path harmless.
  const logRefusal = (httpStatus: number, { verdict: { code }, message }: Failure, request?: FastifyRequest) => {
    const { id: requestId, method, url: path } = request ?? {};
    logger.info({ requestId, method, path, code, refusal: message, httpStatus }, 'Refused a malformed request');
  };
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
      const { refusal } = refuse(reply.header('cache-control', 'no-store'), 400);
      if (refusal) logRefusal(400, refusal, request);
    },
    clientErrorHandler(error, socket) {
      const refused = refuseRaw(error, socket, connections.lastAnswer(socket));
      if (refused) logRefusal(refused.httpStatus, refused.refusal);
    },
  });
  const connections = closeConnectionsInTime(app);
  closeStalledConnections(app, connections.open);
  app.decorateReply('refusal', undefined);
  app.addHook('onRequest', (_request, reply, done) => {
    // Otherwise a gateway might cache a phone number and serve it to other callers.
    reply.header('cache-control', 'no-store');
    done();
  });
  refuseInPlaceOfNode(app, logRefusal);
  readBodies(app, config.bodyLimitBytes);
  if (config.corsOrigins.length > 0) {
    logRefusedPreflights(app);
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
  app.setErrorHandler(({ statusCode = 500, code }: { statusCode?: number; code?: string }, _request, reply) => {
    // The playground's file server answers 403 for a path outside its folder. Here, 403 is reserved for a wrong router secret.
    if (statusCode === 403) return refuse(reply, 404, endpoint.otherPath);
    if (code === 'ECONNRESET') return refuse(reply, statusCode, 'The client hung up before the request had arrived.');
    return refuse(reply, statusCode, statusCode === 413 ? tooLarge : undefined);
  });
  app.setNotFoundHandler((request, reply) => {
    if (request.url.split('?')[0] !== endpoint.path) return refuse(reply, 404, endpoint.otherPath);
    const message = isPreflight(request) ? endpoint.preflight : endpoint.otherMethod;
    return refuse(reply.header('allow', endpoint.method), 405, message);
  });
  return { app, drain: connections.drain };
}

/**
 * Refuses two kinds of requests that Node would refuse with an empty body: those without `Host`, and those with an `Expect` other than
 * 100-continue.
 */
function refuseInPlaceOfNode(
  app: FastifyInstance,
  log: (httpStatus: number, refusal: Failure, request: FastifyRequest) => void,
): void {
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response));
  app.addHook('onRequest', (request, reply, done) => {
    const httpStatus = refusedStatus(request);
    if (httpStatus === undefined) {
      done();
      return;
    }
    const text = httpStatus === 400 ? 'Set the Host header: HTTP/1.1 requires it.' : undefined;
    const { refusal } = refuse(reply, httpStatus, text);
    if (refusal) log(httpStatus, refusal, request);
  });
}

/** https://fetch.spec.whatwg.org/#cors-preflight-request */
const isPreflight = ({ method, headers }: FastifyRequest) =>
  method === 'OPTIONS' && headers.origin !== undefined && headers['access-control-request-method'] !== undefined;

/** Longer than any host name of a real app, and without anything that could be a phone number. */
const harmlessOrigin = /^https?:\/\/(?!.*\d{7})[a-z\d.-]{1,100}(:\d{1,5})?$/;

/** Logs preflights from origins that are not in CORS_ORIGINS. Otherwise only the browser's console would show them: the answer is a success. */
function logRefusedPreflights(app: FastifyInstance): void {
  app.addHook('onSend', (request, reply, payload, done) => {
    if (isPreflight(request) && !reply.hasHeader('access-control-allow-origin')) {
      const { origin = '' } = request.headers;
      const shown = harmlessOrigin.test(origin) ? origin : 'other';
      app.log.info({ requestId: request.id, origin: shown }, 'Refused a preflight: its origin is not in CORS_ORIGINS');
    }
    done(null, payload);
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
