import { createPrivateKey } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { ConfigError, readConfig } from '../src/config/config.js';
import { users } from '../src/embedded-zitadel/population.js';
import { createLogger } from '../src/logger.js';
import { ZitadelClient } from '../src/zitadel/zitadel-client.js';
import type { Caller } from '../src/zitadel/caller.js';
import { ZitadelConnection } from '../src/zitadel/zitadel-connection.js';
import { createAuthority, fileWith, type Certificate } from './support/certificates.js';
import { openConnectProxy } from './support/connect-proxy.js';
import { gate } from './support/gate.js';
import { openSecureZitadel, zitadelHost } from './support/secure-zitadel.js';
import { extensionsOf, manager, openStage, zitadelApi } from './support/stage.js';

// Trust between this server and ZITADEL: authorities, client certificates, and the host name that is asked for.

const noConnection = { code: 'UPSTREAM_UNAVAILABLE', reason: 'NO_CONNECTION', outcome: 'NOT_DONE' };
const connectionLost = { code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST', outcome: 'UNKNOWN' };

const basic = (credentials: string) => `Basic ${Buffer.from(credentials).toString('base64')}`;

type Secure = Awaited<ReturnType<typeof openSecureZitadel>>;

const trusting = ({ url, authority }: Secure) => ({ ZITADEL_URL: url, ZITADEL_CA_FILE: fileWith(authority.cert) });
const presenting = ({ cert, key }: Certificate) => ({
  ZITADEL_CLIENT_CERT_FILE: fileWith(cert),
  ZITADEL_CLIENT_KEY_FILE: fileWith(key),
});

test('trusts only the authorities in ZITADEL_CA_FILE', async () => {
  await using secure = await openSecureZitadel();
  const other = createAuthority('Other authority').cert;
  await using trusts = await openStage({
    ...trusting(secure),
    ZITADEL_CA_FILE: fileWith(`${other}${secure.authority.cert}`),
  });

  expect((await trusts.resend()).errors).toBeUndefined();
  expect(secure.zitadel.calls.map(({ rpc }) => rpc)).toEqual(['GetUserByID', 'ResendPhoneCode']);
  for (const file of [{}, { ZITADEL_CA_FILE: fileWith(other) }]) {
    await using doubts = await openStage({ ZITADEL_URL: secure.url, ...file });
    expect(extensionsOf(await doubts.resend({ mode: 'RETURN_CODE' }))).toEqual([noConnection]);
    expect(doubts.lines.join('')).toContain('unreachable: its certificate is from an authority that is not trusted');
  }
  expect(secure.zitadel.calls).toHaveLength(2);
});

test.for([
  ['has expired', { isExpired: true }, 'its certificate is not valid', 'certificate has expired'],
  ['is for another host', { hosts: ['other.example.com'] }, 'its certificate is for another host name', 'altnames'],
] as const)('does not call a ZITADEL whose certificate %s, and logs why', async ([, contents, hint, cause]) => {
  await using secure = await openSecureZitadel();
  const { hosts = ['127.0.0.1'], ...rest } = { ...contents } as { hosts?: readonly string[] };
  secure.useCertificate(secure.authority.issue(zitadelHost, { hosts: [...hosts], ...rest }));
  await using stage = await openStage(trusting(secure));

  expect(extensionsOf(await stage.resend({ mode: 'RETURN_CODE' }))).toEqual([noConnection]);

  const log = stage.lines.join('');
  expect(log).toContain(`ResendPhoneCode: unreachable: ${hint}`);
  expect(log).toContain(cause);
  await stage.closeServer();
  expect([secure.zitadel.calls, secure.zitadel.probes]).toEqual([[], []]);
});

test.for(['TLSv1.2', 'TLSv1.3'] as const)('shows ZITADEL its client certificate, over %s', async (version) => {
  const clients = createAuthority('Authority for clients');
  await using secure = await openSecureZitadel({
    requestCert: true,
    ca: clients.cert,
    minVersion: version,
    maxVersion: version,
  });
  await using stage = await openStage({ ...trusting(secure), ...presenting(clients.issue('contact-phone')) });

  expect((await stage.resend()).errors).toBeUndefined();

  expect(new Set(secure.connections.map(({ client }) => client))).toEqual(new Set(['contact-phone']));
  expect(secure.zitadel.calls).toHaveLength(2);
});

test('calls nothing without the client certificate that ZITADEL requires, and logs why', async () => {
  const ca = createAuthority('Authority for clients').cert;
  await using secure = await openSecureZitadel({ requestCert: true, ca, maxVersion: 'TLSv1.2' });
  await using stage = await openStage(trusting(secure));

  expect(extensionsOf(await stage.resend({ mode: 'RETURN_CODE' }))).toEqual([noConnection]);

  expect(stage.lines.join('')).toContain('unreachable: it rejected the TLS handshake');
  expect(secure.zitadel.calls).toEqual([]);
});

test('reports an unknown outcome for a write if the client certificate is refused after the handshake, as in TLS 1.3', async () => {
  const ca = createAuthority('Authority for clients').cert;
  await using secure = await openSecureZitadel({ requestCert: true, ca, minVersion: 'TLSv1.3' });
  await using stage = await openStage(trusting(secure));

  expect(extensionsOf(await stage.resend({ mode: 'RETURN_CODE' }))).toEqual([connectionLost]);

  expect(secure.zitadel.calls).toEqual([]);
});

test('sends nothing to a server without TLS', async () => {
  await using plain = await openStage();
  await using stage = await openStage({ ZITADEL_URL: plain.zitadel.url.replace('http', 'https') });

  expect(extensionsOf(await stage.resend({ mode: 'RETURN_CODE' }))).toEqual([noConnection]);

  expect(stage.lines.join('')).toContain('ResendPhoneCode: unreachable: it does not speak TLS');
  expect(plain.zitadel.calls).toEqual([]);
});

describe('with ZITADEL_HOST', () => {
  test.for([
    ['directly', zitadelHost, false],
    ['directly, with a port', `${zitadelHost}:8443`, false],
    ['through a proxy', zitadelHost, true],
  ] as const)('asks for that host, in Host and in TLS: %s', async ([, host, isThroughProxy]) => {
    await using secure = await openSecureZitadel();
    await using proxy = await openConnectProxy();
    // The address is not in the certificate, so the name must be checked.
    secure.useCertificate(secure.authority.issue(zitadelHost));
    await using stage = await openStage({
      ...trusting(secure),
      ZITADEL_HOST: host,
      ...(isThroughProxy && { HTTPS_PROXY: proxy.url }),
    });
    await secure.zitadel.probed(1);

    expect((await stage.resend()).errors).toBeUndefined();

    const all = [...secure.zitadel.probes, ...secure.zitadel.calls];
    expect(all.map(({ headers }) => headers.host)).toEqual([host, host, host]);
    expect(new Set(secure.connections.map(({ servername }) => servername))).toEqual(new Set([zitadelHost]));
    const targets = new Set(proxy.connects.map(({ target }) => target));
    expect([...targets]).toEqual(isThroughProxy ? [`127.0.0.1:${secure.port}`] : []);
  });

  test('does not accept the certificate of another host', async () => {
    await using secure = await openSecureZitadel();
    await using stage = await openStage({ ...trusting(secure), ZITADEL_HOST: 'other.example.com' });

    expect(extensionsOf(await stage.resend({ mode: 'RETURN_CODE' }))).toEqual([noConnection]);

    expect(stage.lines.join('')).toContain('its certificate is for another host name; see ZITADEL_HOST');
    expect(secure.zitadel.calls).toEqual([]);
  });

  test('sends it over http too, next to the host name of the instance', async () => {
    await using stage = await openStage({ ZITADEL_HOST: 'zitadel.internal:8080', ZITADEL_INSTANCE_HOST: 'localhost' });

    await stage.resend({ mode: 'RETURN_CODE' });

    expect(stage.zitadel.calls).toMatchObject([
      { headers: { host: 'zitadel.internal:8080', 'x-zitadel-instance-host': 'localhost' } },
    ]);
  });
});

describe('a rotation', () => {
  const caller: Caller = {
    headers: manager,
    watchCall: () => ({ traceHeaders: undefined, end: () => {} }),
    isGone: () => false,
  };
  const configOf = (env: Record<string, string>) =>
    readConfig({ ZITADEL_API: zitadelApi, ZITADEL_TIMEOUT_MS: '300000', ...env }).zitadel;

  async function openConnection(env: Record<string, string>) {
    const logger = await createLogger({ level: 'silent', format: 'json' });
    const connection = new ZitadelConnection(configOf(env), logger);
    const client = new ZitadelClient(connection);
    const { userId } = users.unverified;
    return {
      rotate: (next: Record<string, string>) => connection.rotate(configOf(next)),
      resend: () => client.resendPhoneCode(caller, userId, 'RETURN_CODE', undefined, client.deadline()),
      [Symbol.asyncDispose]: () => connection.close(),
    };
  }

  test('uses the new files for new connections, and lets calls in flight finish', async () => {
    const clients = createAuthority('Authority for clients');
    await using secure = await openSecureZitadel({ requestCert: true, ca: clients.cert });
    await using connection = await openConnection({ ...trusting(secure), ...presenting(clients.issue('old')) });
    const answering = gate();
    secure.zitadel.misbehave({ hold: answering.opened });
    const inFlight = connection.resend();
    await secure.zitadel.called(1);

    // ZITADEL moves to another authority at the same time.
    const authority = createAuthority('New authority');
    secure.useCertificate({ ...authority.issue('127.0.0.1'), ca: clients.cert });
    connection.rotate({
      ZITADEL_URL: secure.url,
      ZITADEL_CA_FILE: fileWith(authority.cert),
      ...presenting(clients.issue('new')),
    });
    const after = await connection.resend();
    answering.open();

    const settled = [await inFlight, after].map(({ verificationCode }) => verificationCode);
    expect(settled).toEqual(secure.zitadel.codes);
    expect(secure.connections.map(({ client }) => client)).toEqual(['old', 'new']);
    expect(secure.zitadel.calls).toHaveLength(2);
  });

  test('uses the new password for the proxy, in every lane', async () => {
    await using secure = await openSecureZitadel();
    await using proxy = await openConnectProxy();
    const env = (credentials: string) => ({
      ...trusting(secure),
      HTTPS_PROXY: proxy.url.replace('//', `//${credentials}@`),
    });
    await using connection = await openConnection(env('user:old'));

    await connection.resend();
    connection.rotate(env('user:new'));
    await connection.resend();

    expect(proxy.connects.map(({ headers }) => headers['proxy-authorization'])).toEqual([
      basic('user:old'),
      basic('user:new'),
    ]);
  });

  test('keeps the connections if nothing has changed', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    await using secure = await openSecureZitadel();
    const env = trusting(secure);
    await using connection = await openConnection(env);

    await connection.resend();
    // undici reuses a connection only in the next turn.
    await setImmediate();
    connection.rotate({ ...env, ZITADEL_CA_FILE: fileWith(secure.authority.cert) });
    await connection.resend();

    expect(secure.connections).toHaveLength(1);
  });

  test('closes, even if a call was about to find that the host name is wrong', async () => {
    await using secure = await openSecureZitadel();
    secure.useCertificate(secure.authority.issue('other.example.com'));
    const connection = await openConnection(trusting(secure));

    const call = connection.resend();
    const closing = connection[Symbol.asyncDispose]();

    await expect(call).rejects.toMatchObject({ verdict: { reason: 'NO_CONNECTION' } });
    await closing;
  });
});

describe('the configuration', () => {
  const authority = createAuthority();
  const { cert, key } = authority.issue('contact-phone');
  const ZITADEL_URL = 'https://example.zitadel.cloud';
  const secret = 'S3CR3T';
  const encrypted = createPrivateKey(key)
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: secret })
    .toString();
  const notPem = /^ {2}ZITADEL_CA_FILE must name a file with certificates in PEM format$/m;
  const notKey =
    /^ {2}ZITADEL_CLIENT_KEY_FILE must name a file with a private key in PEM format, without a passphrase$/m;
  const together = /^ {2}ZITADEL_CLIENT_CERT_FILE and ZITADEL_CLIENT_KEY_FILE must be set together$/m;

  test.for([
    ['an authority that is not PEM', { ZITADEL_CA_FILE: secret }, notPem],
    ['a key instead of an authority', { ZITADEL_CA_FILE: key }, notPem],
    ['a list with a damaged certificate', { ZITADEL_CA_FILE: cert + cert.replace(/\n/, '\nMII') }, notPem],
    ['a key that is not PEM', { ZITADEL_CLIENT_CERT_FILE: cert, ZITADEL_CLIENT_KEY_FILE: secret }, notKey],
    ['a key with a passphrase', { ZITADEL_CLIENT_CERT_FILE: cert, ZITADEL_CLIENT_KEY_FILE: encrypted }, notKey],
    ['a certificate without its key', { ZITADEL_CLIENT_CERT_FILE: cert }, together],
    ['a key without its certificate', { ZITADEL_CLIENT_KEY_FILE: key }, together],
    [
      'a key of another certificate',
      { ZITADEL_CLIENT_CERT_FILE: cert, ZITADEL_CLIENT_KEY_FILE: authority.issue('other').key },
      /^ {2}ZITADEL_CLIENT_KEY_FILE does not fit ZITADEL_CLIENT_CERT_FILE \(ERR_OSSL_X509_KEY_VALUES_MISMATCH\)$/m,
    ],
  ] as [string, Record<string, string>, RegExp][])('refuses %s, and repeats none of it', ([, contents, message]) => {
    const files = Object.entries(contents).map(([name, text]) => [name, fileWith(text)] as const);
    const read = () => readConfig({ ZITADEL_URL, ...Object.fromEntries<string>(files) });

    expect(read).toThrow(ConfigError);
    expect(read).toThrow(message);
    expect(read).not.toThrow(/S3CR3T|BEGIN|MII/);
  });

  test('refuses files for TLS without https', () => {
    const files = { ZITADEL_CA_FILE: fileWith(authority.cert), ...presenting({ cert, key }) };

    for (const [name, path] of Object.entries(files))
      expect(() => readConfig({ ZITADEL_URL: 'http://zitadel:8080', [name]: path })).toThrow(
        `${name} needs an https ZITADEL_URL`,
      );
    expect(readConfig({ ZITADEL_URL, ...files }).zitadel.tls).toEqual({
      ca: authority.cert.trimEnd(),
      cert: cert.trimEnd(),
      key: key.trimEnd(),
    });
  });
});
