import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { answer, read, readCall, returned } from './user-service.js';

/** A stub of ZITADEL that closes idle connections, and records what it has handled. */
export interface ClosingUpstream extends AsyncDisposable {
  port: number;
  /** The number of handled resends, by user id. */
  handled: ReadonlyMap<string, number>;
  connections: number;
  /** When it will close each connection that is idle after a resend: sorted, on the clock of `performance.now()`. */
  closings(): number[];
}

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
    readCall(request, ({ rpc, userId }) => {
      const isResend = rpc === 'ResendPhoneCode';
      if (isResend) handled.set(userId, (handled.get(userId) ?? 0) + 1);
      // Anything that arrives after this is not read: the kernel resets the connection.
      response.once('finish', () => {
        const timer = setTimeout(() => socket.destroy(), idleMs);
        timers.set(socket, timer);
        if (isResend) closesAt.set(socket, performance.now() + idleMs);
      });
      const headers = isAnnounced ? { 'keep-alive': `timeout=${idleSeconds}` } : {};
      answer(response, 200, isResend ? returned : read(userId), headers);
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
