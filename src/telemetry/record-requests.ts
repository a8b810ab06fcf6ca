import type { FastifyInstance, FastifyRequest } from 'fastify';
import { codeOfRefusal } from '../http/refusal.js';
import { RequestRecord } from './request-record.js';
import type { Tracing } from './tracing.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of what is worth telling. */
    record: RequestRecord;
  }
}

interface Audience {
  begun(): void;
  ended(record: RequestRecord): void;
}

/**
 * Keeps a record of each request that is worth telling, and has it told as soon as its answer is ready, whether or not anybody still
 * waits for that.
 */
export function recordRequests(app: FastifyInstance, tracing: Tracing | undefined, audience: Audience): void {
  app.decorateRequest('record');
  app.addHook('onRequest', (request, reply, done) => {
    const { id, method, routeOptions, headers } = request;
    reply.header('x-request-id', id);
    if (isWorthTelling(request)) {
      audience.begun();
      request.record = new RequestRecord(id, tracing?.begin({ method, route: routeOptions.url, headers }));
    }
    done();
  });
  app.addHook('onSend', (request, { statusCode }, payload, done) => {
    if (isWorthTelling(request)) {
      const { record } = request;
      // Of what was refused before it became an operation, nobody has written down an error.
      if (statusCode >= 400 && record.errors.length === 0) record.errors = [{ code: codeOfRefusal(statusCode) }];
      record.end(statusCode);
      audience.ended(record);
    }
    done(null, payload);
  });
}

/** Health checks, scrapes, preflights and the files of the playground are not. */
function isWorthTelling({ is404, routeOptions }: FastifyRequest): boolean {
  return is404 || routeOptions.url === '/graphql';
}
