import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { onTestFinished } from 'vitest';

/** The connections that a server of this process accepts from now on, at its own end. Node says there which server it is. */
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
