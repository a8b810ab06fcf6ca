import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** A ZITADEL that closes idle connections, and records what it has handled. */
export interface ClosingUpstream extends AsyncDisposable {
  port: number;
  /** The number of handled resends, by user id. */
  handled: ReadonlyMap<string, number>;
  connections: number;
  /** When it will close each currently idle connection, in order, on the clock of `performance.now()`. */
  closings(): number[];
}

const details = { sequence: '2', changeDate: '2026-11-23T19:04:05.123456Z', resourceOwner: '301000000000000001' };
const answer = JSON.stringify({ details, verificationCode: '7QK2ZD' });

/** @param isAnnounced whether it announces the idle timeout in a `Keep-Alive` header */
export async function startClosingUpstream(idleSeconds: number, isAnnounced: boolean): Promise<ClosingUpstream> {
  const idleMs = idleSeconds * 1000;
  const handled = new Map<string, number>();
  const closesAt = new Map<Socket, number>();
  const timers = new WeakMap<Socket, NodeJS.Timeout>();
  const server = createServer((request, response) => {
    const { socket } = request;
    clearTimeout(timers.get(socket));
    closesAt.delete(socket);
    request.resume();
    request.once('end', () => {
      const userId = request.url?.split('/')[3] ?? '';
      handled.set(userId, (handled.get(userId) ?? 0) + 1);
      response.writeHead(200, {
        'content-type': 'application/json',
        'content-length': answer.length,
        ...(isAnnounced && { 'keep-alive': `timeout=${idleSeconds}` }),
      });
      // Anything that arrives after this is not read: the kernel resets the connection.
      response.once('finish', () => {
        const timer = setTimeout(() => socket.destroy(), idleMs);
        timers.set(socket, timer);
        closesAt.set(socket, performance.now() + idleMs);
      });
      response.end(answer);
    });
  });
  // Only our own timers may close connections.
  server.keepAliveTimeout = 0;
  const upstream = {
    port: 0,
    handled,
    connections: 0,
    closings: () => [...closesAt.values()].sort((one, other) => one - other),
    [Symbol.asyncDispose]: close,
  };
  server.on('connection', (socket) => {
    upstream.connections += 1;
    socket.once('close', () => closesAt.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  upstream.port = (server.address() as AddressInfo).port;
  return upstream;

  async function close() {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  }
}
