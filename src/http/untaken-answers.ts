import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** How long the client may go without taking a byte of its answer. */
export const takeTimeoutMs = 30_000;
/** How often Node checks. A connection is closed up to one interval late. */
export const checkIntervalMs = 5_000;

interface Stall {
  checks: number;
  lastAt: number;
}

/**
 * Closes the connection of a client that does not read its answer, which would otherwise stay in memory forever.
 *
 * This uses the socket's own timeout. Node emits it if the operating system has accepted no byte since the previous check, silently
 * restarts it if it has, and replaces it once everything has been accepted.
 *
 * @param isDue whether an answer is due on a connection
 */
export function endUntakenAnswers(app: FastifyInstance, isDue: (socket: Socket) => boolean): void {
  const stalls = new WeakMap<Socket, Stall>();
  app.addHook('onSend', (_request, reply, payload, done) => {
    watchAnswer(reply.raw);
    done(null, payload);
  });
  app.server.on('timeout', (socket: Socket) => {
    if (!isDue(socket)) {
      // An idle connection. Node does not close these itself if there is a listener.
      socket.destroy();
      return;
    }
    // Nothing to read: the client is waiting for this server.
    if (socket.writableLength === 0) return;
    const now = performance.now();
    const { checks, lastAt } = stalls.get(socket) ?? { checks: 0, lastAt: now };
    // A longer gap means that a check in between noticed progress.
    const stall = { checks: now - lastAt < 1.5 * checkIntervalMs ? checks + 1 : 1, lastAt: now };
    if (stall.checks * checkIntervalMs >= takeTimeoutMs) socket.destroy();
    else stalls.set(socket, stall);
    socket.setTimeout(checkIntervalMs);
  });
}

/** Call this when the answer is about to be written: the client is not responsible for the time before. */
export function watchAnswer(answer: ServerResponse): void {
  answer.setTimeout(checkIntervalMs);
}
