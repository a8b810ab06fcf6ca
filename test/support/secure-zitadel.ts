import { once } from 'node:events';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { startEmbeddedZitadel } from '../../src/embedded-zitadel/embedded-zitadel.js';
import { createAuthority } from './certificates.js';
import { leaveForLogTest } from './stage.js';

/** In its certificate, together with its address. */
export const zitadelHost = 'zitadel.example.com';

/** An embedded ZITADEL behind TLS, as a load balancer would provide it. */
export async function openSecureZitadel(options: TlsOptions = {}) {
  const authority = createAuthority();
  const zitadel = await startEmbeddedZitadel();
  const sockets = new Set<Socket>();
  const connections: { servername: string | undefined; client: string | undefined }[] = [];
  const server = createServer(
    { ...authority.issue(zitadelHost, { hosts: [zitadelHost, '127.0.0.1'] }), ...options },
    (socket) => {
      const { servername } = socket as TLSSocket & { servername?: string | false };
      const { subject } = socket.getPeerCertificate() as { subject?: { CN: string } };
      connections.push({ servername: servername || undefined, client: subject?.CN });
      join(socket, connect(Number(new URL(zitadel.url).port), '127.0.0.1'));
    },
  );
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    zitadel,
    /** Issued its certificate. */
    authority,
    port,
    url: `https://127.0.0.1:${port}`,
    /** The server name and the client certificate of each connection after its handshake, in order. */
    connections,
    /** For new connections. */
    useCertificate: (next: TlsOptions) => server.setSecureContext(next),
    async [Symbol.asyncDispose]() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
      await zitadel[Symbol.asyncDispose]();
      leaveForLogTest([], zitadel);
    },
  };
}

/** Passes on what either side sends, until one of them closes. */
export function join(...sides: [Socket, Socket]): void {
  for (const [one, other] of [sides, sides.toReversed() as typeof sides]) {
    one.pipe(other);
    one.on('error', () => {});
    one.on('close', () => other.destroy());
  }
}
