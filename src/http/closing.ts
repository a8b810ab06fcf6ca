import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';

/**
 * Lets `app.close()` end with the last request in flight. Three kinds of connections would hold it up for ever: one that is kept
 * alive, one that never sent a request, as browsers open them in advance, and one whose request never comes to its end.
 */
export function closeConnectionsInTime(app: FastifyInstance): void {
  let closing = false;
  const inFlight = new Set<IncomingMessage>();
  const closeWhenIdle = () => {
    if (closing && inFlight.size === 0) app.server.closeAllConnections();
  };
  app.server.on('request', (request, response) => {
    inFlight.add(request);
    response.once('close', () => {
      inFlight.delete(request);
      closeWhenIdle();
    });
  });

  app.addHook('preClose', (done) => {
    closing = true;
    closeWhenIdle();
    // Node stops watching that when it closes.
    const timeout = setTimeout(() => {
      for (const request of inFlight) if (!request.complete) request.destroy(new Error('It did not come in in time.'));
    }, app.server.requestTimeout);
    app.server.once('close', () => clearTimeout(timeout));
    done();
  });
  // So that the client does not send its next request into a closing connection.
  app.addHook('onSend', (_request, reply, payload, done) => {
    if (closing) reply.header('connection', 'close');
    done(null, payload);
  });
}
