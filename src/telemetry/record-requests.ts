import { EventEmitter, once } from 'node:events';
import type { FastifyInstance } from 'fastify';
import { refusedRequest } from '../failures.js';
import { safePath } from '../logger.js';
import { RequestRecord, type CallObserver, type Tracing } from './request-record.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** undefined if the request is not recorded. */
    record: RequestRecord | undefined;
  }
}

/** The recorded requests. */
interface Requests {
  /** How many are being answered. */
  inFlight: () => number;
  /** Resolves when all requests in flight have been reported. */
  idle: () => Promise<void>;
}

/**
 * Records requests to `path` and to unknown routes, but not health checks, scrapes, preflights or playground files. Each observer
 * gets the record as soon as the answer is ready, even if the client has hung up.
 */
export function recordRequests(
  app: FastifyInstance,
  path: string,
  tracing: Tracing | undefined,
  observers: readonly ((record: RequestRecord) => void)[],
  observeCall?: CallObserver,
): Requests {
  let inFlight = 0;
  const idle = new EventEmitter();

  app.decorateRequest('record', undefined);
  app.addHook('onRequest', (request, reply, done) => {
    const { id, method, url, routeOptions, headers, is404 } = request;
    reply.header('x-request-id', id);
    if (is404 || routeOptions.url === path) {
      inFlight += 1;
      const shown = safePath(url);
      const trace = tracing?.begin({ method, path: shown, route: routeOptions.url, headers });
      request.record = new RequestRecord(id, method, shown, trace, observeCall);
    }
    done();
  });
  app.addHook('onSend', ({ record }, { statusCode, refusal }, payload, done) => {
    if (record) {
      // A request that was refused before GraphQL ran has no recorded failure yet.
      if (statusCode >= 400 && record.failures.length === 0) record.failures = [refusal ?? refusedRequest(statusCode)];
      record.end(statusCode);
      for (const observe of observers) observe(record);
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
