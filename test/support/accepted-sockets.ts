import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** The server-side sockets that a server in this process accepts from now on. Node sets their `server`. */
export function acceptedSockets(url: string): (Socket & { server: Server })[] {
  const port = Number(new URL(url).port);
  const accepted: (Socket & { server: Server })[] = [];
  const onSocket = (message: unknown) => {
    const { socket } = message as { socket: Socket & { server: Server } };
    if (socket.localPort === port) accepted.push(socket);
  };
  subscribe('net.server.socket', onSocket);
  onTestFinished(() => void unsubscribe('net.server.socket', onSocket));
  return accepted;
}
