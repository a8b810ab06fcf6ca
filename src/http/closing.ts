import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/**
 * Lets `app.close()` end with the last request in flight. Three kinds of connections would hold it up for ever: one that is kept
 * alive, one that never sent a request, as browsers open them in advance, and one whose request never comes to its end.
 */
export function closeConnectionsInTime(app: FastifyInstance): void {
  let closing = false;
  /** The last answer that is due, or was, on each connection: those before it are done when it is. */
  const lastAnswers = new Map<Socket, ServerResponse>();
  const underWay = () => [...lastAnswers.values()].filter(({ closed }) => !closed);
  const closeWhenIdle = () => {
    if (underWay().length === 0) app.server.closeAllConnections();
  };
  const closeAfter = (answer: ServerResponse) => {
    // So that the client does not send its next request into a closing connection.
    if (!answer.headersSent) answer.setHeader('connection', 'close');
    answer.once('close', closeWhenIdle);
  };

  app.server.on('connection', (socket) => socket.once('close', () => lastAnswers.delete(socket)));
  app.server.on('request', ({ socket }, answer) => {
    lastAnswers.set(socket, answer);
    if (closing) closeAfter(answer);
  });

  app.addHook('preClose', (done) => {
    closing = true;
    underWay().forEach(closeAfter);
    closeWhenIdle();
    // Node stops watching that when it closes.
    const timeout = setTimeout(() => {
      for (const answer of underWay()) {
        if (!answer.req.complete) answer.req.destroy(new Error('It did not come in in time.'));
      }
    }, app.server.requestTimeout);
    app.server.once('close', () => clearTimeout(timeout));
    done();
  });
}
