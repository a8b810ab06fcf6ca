import { describe, expect, onTestFinished, test, vi } from 'vitest';
import { readConfig } from '../src/config/config.js';
import { tokens } from '../src/embedded-zitadel/population.js';
import { createConnector } from '../src/zitadel/connector.js';
import { createAuthority, fileWith } from './support/certificates.js';
import { openConnectProxy, type ProxyMisbehaviour } from './support/connect-proxy.js';
import { gate } from './support/gate.js';
import { openProduction } from './support/production.js';
import { readOne } from './support/reads.js';
import { openSecureZitadel, zitadelHost } from './support/secure-zitadel.js';
import { extensionsOf, openStage, resend, unverified } from './support/stage.js';
import { until } from './support/until.js';

// Calls to ZITADEL through an HTTP proxy. Only the proxy resolves the host name of ZITADEL.

const noConnection = { code: 'UPSTREAM_UNAVAILABLE', reason: 'NO_CONNECTION', outcome: 'NOT_DONE' };
const connectionLost = { code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST', outcome: 'UNKNOWN' };
const long = 300_000;

/** A stage that calls ZITADEL through a proxy. Its startup, with the probe, is over. */
async function openProxiedStage(env: Record<string, string> = {}) {
  const secure = await openSecureZitadel();
  const proxy = await openConnectProxy();
  const stage = await openStage({
    ZITADEL_URL: `https://${zitadelHost}:${secure.port}`,
    ZITADEL_CA_FILE: fileWith(secure.authority.cert),
    HTTPS_PROXY: proxy.url,
    ...env,
  });
  await until(() => Promise.resolve(stage.lines.some((line) => line.includes('ZITADEL is up'))));
  proxy.connects.length = 0;
  return {
    stage,
    proxy,
    zitadel: secure.zitadel,
    target: `${zitadelHost}:${secure.port}`,
    async [Symbol.asyncDispose]() {
      try {
        await stage[Symbol.asyncDispose]();
      } finally {
        await proxy[Symbol.asyncDispose]();
        await secure[Symbol.asyncDispose]();
      }
    },
  };
}

test('calls ZITADEL through the proxy, which sees neither the token nor the call', async () => {
  await using opened = await openProxiedStage();
  const { stage, proxy, zitadel, target } = opened;

  expect((await stage.resend()).errors).toBeUndefined();

  expect(zitadel.calls.map(({ rpc }) => rpc)).toEqual(['GetUserByID', 'ResendPhoneCode']);
  // A read and a write, each on a connection of its lane.
  expect(proxy.connects).toEqual(
    [target, target].map((host) => ({ target: host, headers: { host, connection: 'close' } })),
  );
  expect(proxy.passedOn().length).toBeGreaterThan(1_000);
  for (const secret of [tokens.manager.token, unverified, 'HTTP/1.1']) expect(proxy.passedOn()).not.toContain(secret);
});

test.for([
  ['user:S3CR3T', 'user:S3CR3T'],
  ['user', 'user:'],
  ['a%40b:%3Ac', 'a@b::c'],
] as const)(
  'sends its credentials to the proxy only, and logs its address without them: %s',
  async ([userInfo, sent]) => {
    await using secure = await openSecureZitadel();
    await using proxy = await openConnectProxy();
    await using stage = await openStage({
      ZITADEL_URL: secure.url,
      ZITADEL_CA_FILE: fileWith(secure.authority.cert),
      https_proxy: proxy.url.replace('//', `//${userInfo}@`),
    });

    expect((await stage.resend()).errors).toBeUndefined();

    const expected = `Basic ${Buffer.from(sent).toString('base64')}`;
    expect(new Set(proxy.connects.map(({ headers }) => headers['proxy-authorization']))).toEqual(new Set([expected]));
    for (const { headers } of [...secure.zitadel.calls, ...secure.zitadel.probes])
      expect(headers).not.toHaveProperty('proxy-authorization');
    const about = stage.lines.filter((line) => line.includes('proxy'));
    expect(about.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { msg: 'Calls to ZITADEL go through a proxy', proxy: `127.0.0.1:${proxy.port}` },
    ]);
    expect(about.join('')).not.toMatch(/S3CR3T|user|a%40b/);
  },
);

test('uses no proxy for http, and ignores HTTP_PROXY and the environment of the process', async () => {
  await using proxy = await openConnectProxy();
  vi.stubEnv('HTTPS_PROXY', proxy.url);
  vi.stubEnv('HTTP_PROXY', proxy.url);
  onTestFinished(() => void vi.unstubAllEnvs());
  await using secure = await openSecureZitadel();
  await using direct = await openStage({
    ZITADEL_URL: secure.url,
    ZITADEL_CA_FILE: fileWith(secure.authority.cert),
    HTTP_PROXY: proxy.url,
  });
  await using plain = await openStage({ HTTPS_PROXY: proxy.url });

  expect([(await direct.resend()).errors, (await plain.resend()).errors]).toEqual([undefined, undefined]);

  expect(proxy.connects).toEqual([]);
  expect([direct, plain].map(({ lines }) => lines.filter((line) => line.includes('proxy')))).toEqual([[], []]);
});

describe('NO_PROXY', () => {
  const connect = (NO_PROXY: string, url: string) => {
    const info = vi.fn();
    const { zitadel } = readConfig({ ZITADEL_URL: url, HTTPS_PROXY: 'http://proxy:3128', NO_PROXY });
    createConnector(zitadel, { info });
    return info.mock.calls.length > 0 ? 'through the proxy' : 'directly';
  };

  test.for([
    ['', 'https://zitadel.example.com', 'through the proxy'],
    ['*', 'https://zitadel.example.com', 'directly'],
    ['zitadel.example.com', 'https://zitadel.example.com', 'directly'],
    ['other.com, ZITADEL.example.com', 'https://zitadel.EXAMPLE.com', 'directly'],
    ['other.com zitadel.example.com,', 'https://zitadel.example.com', 'directly'],
    ['example.com', 'https://zitadel.example.com', 'directly'],
    ['.example.com', 'https://zitadel.example.com', 'directly'],
    ['*.example.com', 'https://zitadel.example.com', 'directly'],
    ['ample.com', 'https://zitadel.example.com', 'through the proxy'],
    ['zitadel.example.com.org', 'https://zitadel.example.com', 'through the proxy'],
    [',', 'https://zitadel.example.com.', 'through the proxy'],
    ['example.com:443', 'https://zitadel.example.com', 'directly'],
    ['example.com:8443', 'https://zitadel.example.com', 'through the proxy'],
    ['example.com:8443', 'https://zitadel.example.com:8443', 'directly'],
    ['10.0.0.5', 'https://10.0.0.5', 'directly'],
    ['10.0.0.0/8', 'https://10.0.0.5', 'directly'],
    ['10.0.0.0/8', 'https://11.0.0.5', 'through the proxy'],
    ['10.0.0.0/99', 'https://10.0.0.5', 'through the proxy'],
    ['10.0.0.0/8', 'https://zitadel.example.com', 'through the proxy'],
    ['::1', 'https://[::1]', 'directly'],
    ['[::1]:8443', 'https://[::1]:8443', 'directly'],
    ['fd00::/8', 'https://[fd00::5]', 'directly'],
    ['fd00::/8', 'https://10.0.0.5', 'through the proxy'],
  ] as const)('%s: %s is called %s', ([list, url, expected]) => {
    expect(connect(list, url)).toBe(expected);
  });

  test('exempts ZITADEL from the proxy, in lower case too', async () => {
    await using secure = await openSecureZitadel();
    await using proxy = await openConnectProxy();
    const env = { ZITADEL_URL: secure.url, ZITADEL_CA_FILE: fileWith(secure.authority.cert), HTTPS_PROXY: proxy.url };
    await using stage = await openStage({ ...env, no_proxy: '127.0.0.0/8' });

    expect((await stage.resend()).errors).toBeUndefined();

    expect(secure.zitadel.calls).toHaveLength(2);
    expect(proxy.connects).toEqual([]);
  });
});

describe('a proxy that fails', () => {
  const answer = (status: string) => ({ answer: `HTTP/1.1 ${status}\r\ncontent-length: 2\r\n\r\nNo` });

  test.for([
    ['wants other credentials', answer('407 Proxy Authentication Required'), 'the proxy answered with HTTP 407'],
    ['refuses the host', answer('403 Forbidden'), 'the proxy answered with HTTP 403'],
    ['cannot reach ZITADEL', answer('502 Bad Gateway'), 'the proxy answered with HTTP 502'],
    ['redirects', answer('302 Found\r\nlocation: https://example.com'), 'the proxy answered with HTTP 302'],
    ['is no HTTP server', { answer: 'SSH-2.0-OpenSSH_9.9\r\n' }, 'no answer from the proxy'],
    ['closes the connection', { close: 'without an answer' }, 'no answer from the proxy'],
    ['closes the tunnel at once', { close: 'after the answer' }, 'ResendPhoneCode: unreachable'],
  ] as [string, ProxyMisbehaviour, string][])(
    '%s: nothing was sent, and the log says what the proxy did',
    async ([, misbehaviour, logged]) => {
      await using opened = await openProxiedStage();
      const { stage, proxy, zitadel } = opened;
      proxy.misbehave(misbehaviour);

      expect(extensionsOf(await stage.resend({ mode: 'RETURN_CODE' }))).toEqual([noConnection]);

      expect(proxy.connects).toHaveLength(1);
      expect(stage.lines.join('')).toContain(logged);
      proxy.misbehave(undefined);
      expect((await stage.resend({ mode: 'RETURN_CODE' })).errors).toBeUndefined();
      expect(zitadel.calls).toHaveLength(1);
    },
  );

  test('refuses connections: nothing was sent, and the log names the proxy', async () => {
    await using opened = await openProxiedStage();
    const { stage, proxy, zitadel } = opened;
    await proxy[Symbol.asyncDispose]();

    expect(extensionsOf(await stage.resend({ mode: 'RETURN_CODE' }))).toEqual([noConnection]);

    expect(stage.lines.join('')).toContain('ResendPhoneCode: unreachable: no answer from the proxy');
    expect(zitadel.calls).toEqual([]);
  });

  test('does not answer: gives up after 3 seconds, and then works again', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    await using opened = await openProxiedStage({ ZITADEL_TIMEOUT_MS: String(long) });
    const { stage, proxy, zitadel } = opened;
    proxy.misbehave({ hang: true });

    const call = stage.resend({ mode: 'RETURN_CODE' });
    await proxy.asked(1);
    vi.advanceTimersByTime(3_000);
    expect(extensionsOf(await call)).toEqual([noConnection]);

    expect(stage.lines.join('')).toContain('no connection within 3000 ms');
    proxy.misbehave(undefined);
    expect((await stage.resend({ mode: 'RETURN_CODE' })).errors).toBeUndefined();
    expect(zitadel.calls).toHaveLength(1);
    expect(proxy.connects).toHaveLength(2);
  });

  test('does not answer until the deadline has passed: nothing is sent later', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());
    await using opened = await openProxiedStage({ ZITADEL_TIMEOUT_MS: '2000' });
    const { stage, proxy, zitadel } = opened;
    const answering = gate();
    proxy.misbehave({ hold: answering.opened });

    const call = stage.resend({ mode: 'RETURN_CODE' });
    await proxy.asked(1);
    vi.advanceTimersByTime(2_000);
    expect(extensionsOf(await call)).toEqual([{ code: 'UPSTREAM_TIMEOUT', outcome: 'NOT_DONE' }]);
    answering.open();
    await stage.closeServer();

    expect(zitadel.calls).toEqual([]);
  });

  test('does not answer during a shutdown, which waits for the call', async () => {
    await using opened = await openProxiedStage();
    const { stage, proxy, zitadel } = opened;
    proxy.misbehave({ hang: true });

    const call = stage.resend({ mode: 'RETURN_CODE' });
    await proxy.asked(1);
    const closing = stage.closeServer();

    expect(extensionsOf(await call)).toEqual([noConnection]);
    await closing;
    expect(zitadel.calls).toEqual([]);
  });

  test('does not answer before SHUTDOWN_TIMEOUT_MS, when the shutdown aborts the call', async () => {
    const opened = await openProxiedStage({ SHUTDOWN_TIMEOUT_MS: '1' });
    const { stage, proxy, zitadel } = opened;
    proxy.misbehave({ hang: true });

    const call = stage.resend({ mode: 'RETURN_CODE' });
    call.catch(() => {});
    await proxy.asked(1);

    await expect(stage.closeServer()).rejects.toMatchObject({ name: 'CutOffError' });
    await expect(call).rejects.toThrow();
    expect(zitadel.calls).toEqual([]);
    await stage.zitadel[Symbol.asyncDispose]();
    await expect(opened[Symbol.asyncDispose]()).rejects.toThrow();
  });

  test('loses its tunnels: a write is sent once and may have been carried out, a read is repeated once', async () => {
    await using opened = await openProxiedStage();
    const { stage, proxy, zitadel } = opened;
    const answering = gate();
    zitadel.misbehave({ hold: answering.opened }, { hold: answering.opened });

    const write = stage.resend({ mode: 'RETURN_CODE' });
    await zitadel.called(1);
    proxy.cut();
    expect(extensionsOf(await write)).toEqual([connectionLost]);
    const read = readOne(stage.graphql, unverified);
    await zitadel.called(2);
    proxy.cut();
    expect((await read).errors).toBeUndefined();
    answering.open();

    expect(zitadel.calls.map(({ rpc }) => rpc)).toEqual(['ResendPhoneCode', 'GetUserByID', 'GetUserByID']);
    expect(proxy.connects).toHaveLength(3);
  });
});

test('opens at most 64 tunnels for writes, and new ones after half a minute', async () => {
  await using opened = await openProxiedStage({ ZITADEL_TIMEOUT_MS: String(long) });
  const { stage, proxy, zitadel } = opened;
  const answering = gate();
  zitadel.misbehaveWhenWriting(...Array.from({ length: 64 }, () => ({ hold: answering.opened })));

  const resends = Array.from({ length: 70 }, () => stage.resend({ mode: 'RETURN_CODE' }));
  await zitadel.written(64);
  expect(proxy.connects).toHaveLength(64);
  const now = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => now() + 30_000);
  onTestFinished(() => void vi.restoreAllMocks());
  const last = stage.resend({ mode: 'RETURN_CODE' });
  answering.open();

  for (const { errors } of await Promise.all([...resends, last])) expect(errors).toBeUndefined();
  expect(proxy.connects.length).toBeGreaterThan(64);
  expect(zitadel.calls).toHaveLength(71);
});

describe('a proxy behind TLS', () => {
  test('is trusted if Node.js trusts it, for instance because of NODE_EXTRA_CA_CERTS', async () => {
    const authority = createAuthority('Authority of the proxy');
    await using secure = await openSecureZitadel();
    await using proxy = await openConnectProxy(authority.issue('127.0.0.1'));
    await using production = await openProduction({
      ZITADEL_URL: `https://${zitadelHost}:${secure.port}`,
      ZITADEL_CA_FILE: fileWith(secure.authority.cert),
      HTTPS_PROXY: proxy.url,
      NODE_EXTRA_CA_CERTS: fileWith(authority.cert),
    });

    expect((await resend(production.url)).errors).toBeUndefined();

    expect(secure.zitadel.calls).toHaveLength(2);
  });

  test('is not trusted because of ZITADEL_CA_FILE', async () => {
    await using secure = await openSecureZitadel();
    await using proxy = await openConnectProxy(secure.authority.issue('127.0.0.1'));
    await using stage = await openStage({
      ZITADEL_URL: secure.url,
      ZITADEL_CA_FILE: fileWith(secure.authority.cert),
      HTTPS_PROXY: proxy.url,
    });

    expect(extensionsOf(await stage.resend({ mode: 'RETURN_CODE' }))).toEqual([noConnection]);

    expect(stage.lines.join('')).toContain('ResendPhoneCode: unreachable: no answer from the proxy');
    expect(proxy.connects).toEqual([]);
  });
});
