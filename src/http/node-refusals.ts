import type { FastifyInstance, FastifyRequest } from 'fastify';
import { refuse } from './refusal.js';

/**
 * Refuses two kinds of requests that Node would refuse with an empty body: those without `Host`, and those with an `Expect` other than
 * 100-continue. The server must be created with `requireHostHeader: false`.
 */
export function refuseInPlaceOfNode(app: FastifyInstance, log: (requestId: string, httpStatus: number) => void): void {
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
