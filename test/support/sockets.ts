import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

/** A raw connection to one of our servers. */
export async function openSocket(url: string): Promise<Socket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  await once(socket, 'connect');
  return socket;
}

/** Resolves when new connections are refused. */
export async function refusesConnections(url: string): Promise<void> {
  for (;;) {
    const isRefused = await openSocket(url).then(
      (socket) => {
        socket.destroy();
        return false;
      },
      () => true,
    );
    if (isRefused) return;
  }
}
