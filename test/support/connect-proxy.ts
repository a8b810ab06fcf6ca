import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import type { Certificate } from './certificates.js';
import { join } from './secure-zitadel.js';

/** What it does instead of opening a tunnel, or after a while (`hold`), or after its answer. */
export type ProxyMisbehaviour =
  { answer: string } | { close: 'without an answer' | 'after the answer' } | { hang: true } | { hold: Promise<void> };

/** An HTTP proxy that opens a tunnel to the port on this machine, whatever the host name. */
export async function openConnectProxy(tls?: Certificate) {
  const sockets = new Set<Socket>();
  const connects: { target: string; headers: IncomingHttpHeaders }[] = [];
  let misbehaviour: ProxyMisbehaviour | undefined;
  let passedOn = '';
  const server = tls ? createHttpsServer(tls) : createHttpServer();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  const onConnect = async ({ url: target = '', headers }: IncomingMessage, client: Socket) => {
    connects.push({ target, headers });
    server.emit('asked');
    client.on('error', () => {});
    if (misbehaviour && 'hang' in misbehaviour) return;
    if (misbehaviour && 'answer' in misbehaviour) {
      client.end(misbehaviour.answer);
      return;
    }
    if (misbehaviour && 'close' in misbehaviour && misbehaviour.close === 'without an answer') {
      client.destroy();
      return;
    }
    if (misbehaviour && 'hold' in misbehaviour) await misbehaviour.hold;
    client.write('HTTP/1.1 200 Connection established\r\n\r\n');
    if (misbehaviour && 'close' in misbehaviour) {
      client.end();
      return;
    }
    client.on('data', (chunk: Buffer) => (passedOn += chunk.toString('latin1')));
    join(client, connect(Number(new URL(`http://${target}`).port), '127.0.0.1'));
  };
  server.on('connect', (request: IncomingMessage, client: Socket) => void onConnect(request, client));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http${tls ? 's' : ''}://127.0.0.1:${port}`,
    /** Every CONNECT, in order. */
    connects,
    /** Everything that clients sent through its tunnels so far. */
    passedOn: () => passedOn,
    /** Resolves when this many CONNECTs have arrived. */
    async asked(times: number): Promise<void> {
      while (connects.length < times) await once(server, 'asked');
    },
    /** From now on, until this is called again. */
    misbehave(next: ProxyMisbehaviour | undefined): void {
      misbehaviour = next;
    },
    /** Closes all tunnels. */
    cut(): void {
      for (const socket of sockets) socket.destroy();
    },
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}
