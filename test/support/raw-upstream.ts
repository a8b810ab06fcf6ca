import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { gate } from './gate.js';

/** A TCP server for misbehaving upstreams. Counts its connections and the requests on them, except probes. */
export async function openRawUpstream(
  onRequest: (socket: Socket) => void = () => {},
  onConnection: (socket: Socket) => void = () => {},
) {
  const sockets = new Set<Socket>();
  const seen = { connections: 0, requests: 0 };
  const server = createServer((socket) => {
    seen.connections += 1;
    sockets.add(socket);
    socket.on('error', () => {});
    onConnection(socket);
    socket.on('data', (chunk) => {
      if (!chunk.includes('HTTP/1.1\r\n')) return;
      // Only a probe has no token.
      if (!chunk.includes('authorization: ')) {
        seen.connections -= 1;
        socket.end('HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n');
        return;
      }
      seen.requests += 1;
      onRequest(socket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  // undici reports the headers that it has read: https://undici.nodejs.org/#/docs/api/DiagnosticsChannel
  const reported = 'undici:request:headers';
  const reading = gate();
  const onHeaders = (message: unknown) => {
    const { origin, headers } = (message as { request: { origin: string; headers: string[] } }).request;
    // Only a probe has no token.
    if (origin === url && headers.includes('authorization')) reading.open();
  };
  subscribe(reported, onHeaders);
  return {
    port,
    url,
    seen,
    /** Resolves when the headers of an answer have been read. */
    headersRead: reading.opened,
    async [Symbol.asyncDispose]() {
      unsubscribe(reported, onHeaders);
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
