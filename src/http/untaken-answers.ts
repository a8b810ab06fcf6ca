import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** How long the client may go without taking a byte of its answer. */
export const takeTimeoutMs = 30_000;

/**
 * Closes the connection of a client that does not read its answer, which would otherwise stay in memory forever.
 *
 * This is the socket's own timeout. Node restarts it if the operating system has taken some bytes since the last check, and replaces it
 * once it has taken them all. So an answer ends after one to two timeouts without progress.
 *
 * @param isDue whether an answer is due on a connection
 */
export function endUntakenAnswers(app: FastifyInstance, isDue: (socket: Socket) => boolean): void {
  app.addHook('onSend', (_request, reply, payload, done) => {
    watchAnswer(reply.raw);
    done(null, payload);
  });
  // Given a listener, Node no longer closes connections itself, not even idle ones.
  app.server.on('timeout', (socket: Socket) => {
    const isWaitingForUs = isDue(socket) && socket.writableLength === 0;
    if (!isWaitingForUs) socket.destroy();
  });
}

/** Call this when the answer is about to be written: the time until then is ours. */
export function watchAnswer(answer: ServerResponse): void {
  answer.setTimeout(takeTimeoutMs);
}
