import { EventEmitter, once } from 'node:events';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { codeOfRefusal } from '../http/refusal.js';
import { RequestRecord } from './request-record.js';
import type { Tracing } from './tracing.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** undefined for what is not worth telling. */
    record: RequestRecord | undefined;
  }
}

/** The requests that a record is kept of. */
interface Requests {
  /** How many are being answered. */
  underWay: () => number;
  /** Resolves when all that have begun are told. */
  idle: () => Promise<void>;
}

/**
 * Keeps a record of each request that is worth telling, and has it told as soon as its answer is ready, whether or not anybody still
 * waits for that.
 */
export function recordRequests(
  app: FastifyInstance,
  tracing: Tracing | undefined,
  tell: (record: RequestRecord) => void,
): Requests {
  let underWay = 0;
  const idle = new EventEmitter();

  app.decorateRequest('record', undefined);
  app.addHook('onRequest', (request, reply, done) => {
    const { id, method, routeOptions, headers } = request;
    reply.header('x-request-id', id);
    if (isWorthTelling(request)) {
      underWay += 1;
      request.record = new RequestRecord(id, tracing?.begin({ method, route: routeOptions.url, headers }));
    }
    done();
  });
  app.addHook('onSend', ({ record }, { statusCode }, payload, done) => {
    if (record) {
      // Of what was refused before it became an operation, nobody has written down an error.
      if (statusCode >= 400 && record.errors.length === 0) record.errors = [{ code: codeOfRefusal(statusCode) }];
      record.end(statusCode);
      tell(record);
      underWay -= 1;
      if (underWay === 0) idle.emit('idle');
    }
    done(null, payload);
  });
  return {
    underWay: () => underWay,
    async idle() {
      if (underWay > 0) await once(idle, 'idle');
    },
  };
}

/** Health checks, scrapes, preflights and the files of the playground are not. */
function isWorthTelling({ is404, routeOptions }: FastifyRequest): boolean {
  return is404 || routeOptions.url === '/graphql';
}
