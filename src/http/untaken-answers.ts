import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';

/** How long the client may go without taking a byte of its answer. */
const takeTimeoutMs = 30_000;
/** An answer ends up to one interval late. */
const checkIntervalMs = 5_000;

interface Stall {
  taken: number;
  /** How many checks in a row found the same. */
  checks: number;
}

/**
 * Closes the connection of a client that does not read its answer, which would otherwise stay in memory forever. Node's own idle timeout
 * does not do it: every byte that the client sends restarts that.
 *
 * @param connections the open ones
 */
export function endUntakenAnswers(app: FastifyInstance, connections: () => Iterable<Socket>): void {
  const stalls = new WeakMap<Socket, Stall>();
  const check = (socket: Socket) => {
    const taken = bytesTaken(socket);
    const last = stalls.get(socket);
    const checks = socket.writableLength > 0 && taken === last?.taken ? last.checks + 1 : 0;
    // A reset also frees what the operating system holds for the client.
    if (checks * checkIntervalMs >= takeTimeoutMs) socket.resetAndDestroy();
    else stalls.set(socket, { taken, checks });
  };
  const timer = setInterval(() => {
    for (const socket of connections()) check(socket);
  }, checkIntervalMs).unref();
  app.server.once('close', () => clearInterval(timer));
}

/** Changes whenever the operating system accepts bytes. Of a long write that it accepts in parts, only the handle knows. */
function bytesTaken(socket: Socket): number {
  const { _handle: handle } = socket as { _handle?: { writeQueueSize: number } };
  return socket.bytesWritten - socket.writableLength - (handle?.writeQueueSize ?? 0);
}
