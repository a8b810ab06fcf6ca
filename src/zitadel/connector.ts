import { request as httpRequest, type ClientRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BlockList, isIP, type Socket } from 'node:net';
import { checkServerIdentity, createSecureContext, type PeerCertificate } from 'node:tls';
import type { Logger } from 'pino';
import { buildConnector } from 'undici';
import type { ZitadelConfig } from '../config/config.js';

const connectTimeoutMs = 3_000;
/** Leaves time to try two addresses of a host. Node's default of 250 ms is shorter than a handshake with another continent. */
const bothFamilies = { autoSelectFamily: true, autoSelectFamilyAttemptTimeout: 1_200 };

/** @returns a function that opens connections to ZITADEL, directly or through the proxy */
export function createConnector(config: ZitadelConfig, logger: Pick<Logger, 'info'>): buildConnector.connector {
  const { url, tls, proxy } = config;
  const isHttps = url.protocol === 'https:';
  const connect = buildConnector({
    ...bothFamilies,
    timeout: connectTimeoutMs,
    // Parses the certificates once, rather than for each connection.
    ...(isHttps && { secureContext: createSecureContext(tls) }),
    checkServerIdentity(host: string, certificate: PeerCertificate) {
      const cause = checkServerIdentity(host, certificate);
      // If this error had the code of its cause, undici's `close` could wait forever.
      return cause && new ConnectError('its certificate is for another host name; see ZITADEL_HOST', { cause });
    },
  });
  if (!isHttps || !proxy.url || isExempt(url, proxy.except)) return connect;
  // The whole URL may contain a password.
  logger.info({ proxy: proxy.url.host }, 'Calls to ZITADEL go through a proxy');
  return throughTunnel(proxy.url, connect);
}

/**
 * Opens each connection through a tunnel of its own. undici's ProxyAgent would have its own timeouts, and a proxy that does not answer
 * could hold up a shutdown for minutes.
 */
function throughTunnel(proxy: URL, connect: buildConnector.connector): buildConnector.connector {
  const ask = proxy.protocol === 'https:' ? httpsRequest : httpRequest;
  const host = withoutBrackets(proxy.hostname);
  const settings = {
    ...bothFamilies,
    method: 'CONNECT',
    host,
    port: proxy.port || (proxy.protocol === 'https:' ? 443 : 80),
    // Otherwise Node.js would use the `Host` header, which is ZITADEL's.
    servername: isIP(host) ? '' : host,
    agent: false,
  } as const;
  const credentials = [proxy.username, proxy.password].map(decodeURIComponent).join(':');
  const authorization = { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` };

  return (target, callback) => {
    const end: buildConnector.Callback = (...result) => {
      clearTimeout(timer);
      callback(...result);
    };
    const fail = (message: string, cause?: unknown) => end(new ConnectError(message, { cause }), null);
    const path = `${target.hostname.includes(':') ? `[${target.hostname}]` : target.hostname}:${target.port || 443}`;
    const asking = ask({ ...settings, path, headers: { host: path, ...(credentials !== ':' && authorization) } });
    let toDestroy: ClientRequest | Socket = asking;
    const timer = setTimeout(
      () => toDestroy.destroy(new Error(`no connection within ${connectTimeoutMs} ms`)),
      connectTimeoutMs,
    );
    asking.on('error', (error) => fail('no answer from the proxy', error));
    asking.on('connect', ({ statusCode = 0 }, tunnel) => {
      toDestroy = tunnel;
      if (statusCode >= 200 && statusCode < 300) {
        connect({ ...target, httpSocket: tunnel }, end);
        return;
      }
      tunnel.on('error', () => {}).destroy();
      fail(`the proxy answered with HTTP ${statusCode}`);
    });
    asking.end();
  };
}

/** Its message is for operators. */
class ConnectError extends Error {
  override readonly name = 'ConnectError';
}

/** The same for other errors, by their code. */
const hints = [
  [
    /^(UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_)/,
    'its certificate is from an authority that is not trusted; see ZITADEL_CA_FILE',
  ],
  [/^CERT_/, 'its certificate is not valid'],
  [/^ERR_SSL_WRONG_VERSION_NUMBER$/, 'it does not speak TLS'],
  [
    /^ERR_SSL_.*_ALERT_/,
    'it rejected the TLS handshake, perhaps because of the client certificate; see ZITADEL_CLIENT_CERT_FILE',
  ],
] as const;

/** What an operator needs to know about a connection that failed. */
export function hintFor(error: unknown): string | undefined {
  if (error instanceof ConnectError) return error.message;
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return hints.find(([codes]) => codes.test(code))?.[1];
}

/** Whether NO_PROXY lists the host: by name, by a domain above it, by address or by subnet, perhaps with a port. */
function isExempt(url: URL, list = ''): boolean {
  const host = withoutBrackets(url.hostname);
  const port = url.port || '443';
  const entries = list.toLowerCase().match(/[^\s,]+/g) ?? [];
  return entries.some((entry) => {
    const [, subnet, bits] = /^([^/]+)\/(\d{1,3})$/.exec(entry) ?? [];
    if (subnet !== undefined) return isWithin(host, subnet, Number(bits));
    const [, name = entry, onlyPort = port] = isIP(entry) ? [] : (/^(.+?)(?::(\d+))?$/.exec(entry) ?? []);
    const domain = withoutBrackets(name).replace(/^\*?\./, '');
    return entry === '*' || (onlyPort === port && (host === domain || host.endsWith(`.${domain}`)));
  });
}

function isWithin(host: string, subnet: string, bits: number): boolean {
  const version = isIP(subnet);
  if (version === 0 || version !== isIP(host) || bits > (version === 4 ? 32 : 128)) return false;
  const type = version === 4 ? 'ipv4' : 'ipv6';
  const addresses = new BlockList();
  addresses.addSubnet(subnet, bits, type);
  return addresses.check(host, type);
}

const withoutBrackets = (host: string) => host.replace(/^\[|\]$/g, '');
