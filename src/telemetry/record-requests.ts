import { EventEmitter, once } from 'node:events';
import type { FastifyInstance } from 'fastify';
import { codeOfRefusal } from '../http/refusals.js';
import type { Logger } from '../logger.js';
import { RequestRecord } from './request-record.js';
import type { Tracing } from './tracing.js';

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
  /** Resolves when all requests in progress have been reported. */
  idle: () => Promise<void>;
}

/**
 * Records requests to `path` and to unknown routes, but not health checks, scrapes, preflights or files of the playground. Each observer
 * gets the record as soon as the answer is ready, even if the client has hung up.
 */
export function recordRequests(
  app: FastifyInstance,
  path: string,
  tracing: Tracing | undefined,
  observers: readonly ((record: RequestRecord) => void)[],
): Requests {
  let inFlight = 0;
  const idle = new EventEmitter();

  app.decorateRequest('record', undefined);
  app.addHook('onRequest', (request, reply, done) => {
    const { id, method, routeOptions, headers, is404 } = request;
    reply.header('x-request-id', id);
    if (is404 || routeOptions.url === path) {
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

/** Records a fault of this server, for the log line of the request. If the request is not recorded, logs the fault on its own. */
export function recordFaults(app: FastifyInstance, logger: Logger): void {
  app.addHook('onError', ({ id, record }, _reply, error, done) => {
    const { statusCode = 500 } = error;
    if (statusCode >= 500) {
      if (record) record.fail(codeOfRefusal(statusCode), error);
      else logger.error({ requestId: id, err: error }, 'Unexpected error');
    }
    done();
  });
}
