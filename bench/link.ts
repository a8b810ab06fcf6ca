import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Link extends AsyncDisposable {
  port: number;
}

/** A proxy to a local port that is as slow as a network: each chunk, end and reset arrives `delayMs` later. */
export async function startLink(toPort: number, delayMs: number): Promise<Link> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ port: toPort, host: '127.0.0.1', allowHalfOpen: true, noDelay: true });
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
    forward(near, far, delayMs);
    forward(far, near, delayMs);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** Timers with the same delay run in the order in which they were set, so nothing is reordered. */
function forward(from: Socket, to: Socket, delayMs: number): void {
  const later = (then: () => void) => setTimeout(() => void (to.destroyed || then()), delayMs);
  from.on('data', (chunk) => later(() => to.write(chunk)));
  from.on('end', () => later(() => to.end()));
  from.on('error', () => later(() => to.resetAndDestroy()));
}
