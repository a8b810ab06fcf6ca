import { EventEmitter, once } from 'node:events';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { codeOfRefusal } from '../http/refusals.js';
import { RequestRecord } from './request-record.js';
import type { Tracing } from './tracing.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** undefined for requests that are not recorded. */
    record: RequestRecord | undefined;
  }
}

/** The recorded requests. */
interface Requests {
  /** How many are being answered. */
  inFlight: () => number;
  /** Resolves when all requests in progress have been reported. */
  idle: () => Promise<void>;
}

/**
 * Records the requests that are of interest, and reports each one as soon as its answer is ready, even if the client has hung up.
 */
export function recordRequests(
  app: FastifyInstance,
  tracing: Tracing | undefined,
  report: (record: RequestRecord) => void,
): Requests {
  let inFlight = 0;
  const idle = new EventEmitter();

  app.decorateRequest('record', undefined);
  app.addHook('onRequest', (request, reply, done) => {
    const { id, method, routeOptions, headers } = request;
    reply.header('x-request-id', id);
    if (isRecorded(request)) {
      inFlight += 1;
      request.record = new RequestRecord(id, tracing?.begin({ method, route: routeOptions.url, headers }));
    }
    done();
  });
  app.addHook('onSend', ({ record }, { statusCode }, payload, done) => {
    if (record) {
      // A request that was refused before GraphQL has no recorded error yet.
      if (statusCode >= 400 && record.errors.length === 0) record.errors = [{ code: codeOfRefusal(statusCode) }];
      record.end(statusCode);
      report(record);
      inFlight -= 1;
      if (inFlight === 0) idle.emit('idle');
    }
    done(null, payload);
  });
  return {
    inFlight: () => inFlight,
    async idle() {
      if (inFlight > 0) await once(idle, 'idle');
    },
  };
}

/** False for health checks, scrapes, preflights and the files of the playground. */
function isRecorded({ is404, routeOptions }: FastifyRequest): boolean {
  return is404 || routeOptions.url === '/graphql';
}
