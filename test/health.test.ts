import { afterEach, expect, test, vi } from 'vitest';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { hasRedis } from './support/has-redis.js';
import { startRedis } from './support/redis.js';
import { openSocket, refusesConnections } from './support/sockets.js';
import { openStage } from './support/stage.js';
import { until } from './support/until.js';
import { answered } from './support/zitadel.js';

afterEach(() => {
  vi.useRealTimers();
});

const readiness = async (url: string) => {
  const response = await fetch(`${url}/health/ready`);
  return {
    httpStatus: response.status,
    ...((await response.json()) as { status: string; zitadel: string; redis?: string }),
  };
};
const ready = (zitadel: string) => ({ httpStatus: 200, status: 'ok', zitadel });
const html = { 'content-type': 'text/html' };

test('probes ZITADEL at startup, and again after 30 seconds but not before', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  await using stage = await openStage();
  const { zitadel, url } = stage;
  await until(async () => (await readiness(url)).zitadel === 'up');

  zitadel.misbehaveWhenProbed({ answer: { status: 503 } });
  vi.advanceTimersByTime(29_999);
  expect(await readiness(url)).toEqual(ready('up'));
  expect(zitadel.probes).toHaveLength(1);
  vi.advanceTimersByTime(1);
  await until(async () => (await readiness(url)).zitadel === 'down');

  expect(zitadel.probes.map(({ rpc, userId, headers }) => [rpc, userId, headers.authorization])).toEqual([
    ['GetUserByID', '0', undefined],
    ['GetUserByID', '0', undefined],
  ]);
  expect(zitadel.calls).toEqual([]);
});

test('distinguishes a ZITADEL that is down from one that is misconfigured, and stays ready', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  await using stage = await openStage();
  const { zitadel, url } = stage;
  await until(async () => (await readiness(url)).zitadel === 'up');

  for (const [misbehaviour, state] of [
    [answered({ code: 5, message: 'unable to set instance using origin' }, 404), 'misconfigured'],
    [answered({ code: 14 }, 503), 'down'],
    [{ answer: { status: 302, headers: { location: 'https://login.example.com/?token=S3CR3T' } } }, 'misconfigured'],
    [{ reset: true }, 'down'],
    [{ answer: { status: 200, headers: html, body: '<h1>Welcome</h1>' } }, 'misconfigured'],
    [{ answer: { status: 502, headers: html, body: 'Bad Gateway' } }, 'down'],
    [answered({ user: {} }), 'misconfigured'],
    [answered({ code: 8, details: [{ id: 'LIMITS-molsj' }] }, 429), 'down'],
    [answered({ code: 16 }, 401), 'up'],
    [answered({}, 401), 'misconfigured'],
    [answered({ code: 14 }, 503), 'down'],
    [answered({ code: 16 }, 403), 'misconfigured'],
    [{ answer: { status: 429, headers: html, body: 'Slow down' } }, 'down'],
  ] as const) {
    zitadel.misbehaveWhenProbed(misbehaviour);
    vi.advanceTimersByTime(30_000);
    await until(async () => (await readiness(url)).zitadel === state);
    expect(await readiness(url)).toEqual(ready(state));
  }

  const warnings = stage.lines.filter((line) => line.includes('"level":"warn"')).join('');
  expect(warnings).toContain('Probe: rejected (HTTP 404, code 5): unable to set instance using origin');
  expect(warnings).toContain('redirect to https://login.example.com"');
  expect(warnings).toContain('content type text/html');
  expect(warnings).not.toContain('S3CR3T');
});

test('detects a wrong host name', async () => {
  await using stage = await openStage({ ZITADEL_INSTANCE_HOST: 'other.example.com' });

  await until(async () => (await readiness(stage.url)).zitadel === 'misconfigured');
});

test('does not report ZITADEL as down for a call that it rejects, answers oddly, or aborts', async () => {
  await using stage = await openStage();
  const { zitadel, url } = stage;
  await until(async () => (await readiness(url)).zitadel === 'up');

  for (const misbehaviour of [
    { answer: { status: 503 } },
    { reset: true },
    { answer: { status: 431 } },
    answered({ code: 13 }, 500),
  ] as const) {
    zitadel.misbehave(misbehaviour);
    await stage.resend({ mode: 'RETURN_CODE' });
    expect(await readiness(url)).toEqual(ready('up'));
  }
  expect(zitadel.probes).toHaveLength(1);
});

test('neither readiness checks nor shutdown wait for a probe', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  const stage = await openStage({ ZITADEL_TIMEOUT_MS: '300000' });
  await stage.zitadel.probed(1);
  stage.zitadel.misbehaveWhenProbed({ hold: new Promise(() => {}) });
  vi.advanceTimersByTime(30_000);

  await readiness(stage.url);
  await stage.zitadel.probed(2);
  expect((await readiness(stage.url)).httpStatus).toBe(200);

  await stage[Symbol.asyncDispose]();
  expect(stage.lines.filter((line) => line.includes('ZITADEL is down'))).toEqual([]);
});

test('reports ZITADEL as down when it cannot connect, and stays ready', async () => {
  await using stage = await openStage({ ZITADEL_URL: 'http://127.0.0.1:1' });

  await until(async () => (await readiness(stage.url)).zitadel === 'down');

  expect(await readiness(stage.url)).toEqual(ready('down'));
});

test('notices from a failed call that it cannot connect, before a probe is due', async () => {
  const gone = await openStage();
  await using stage = await openStage({ ZITADEL_URL: gone.zitadel.url });
  await until(async () => (await readiness(stage.url)).zitadel === 'up');

  await gone[Symbol.asyncDispose]();
  await stage.resend();
  await stage.resend();

  expect(await readiness(stage.url)).toEqual(ready('down'));
});

test('reports not ready but keeps serving during SHUTDOWN_DELAY_MS', async () => {
  const stage = await openStage({ SHUTDOWN_DELAY_MS: '300000', SMS_LIMITS: 'off' });
  await until(async () => (await readiness(stage.url)).zitadel === 'up');
  vi.useFakeTimers({ toFake: ['setTimeout'] });

  const closed = stage.closeServer();
  const draining = await readiness(stage.url);
  const inTime = await stage.resend();
  vi.advanceTimersByTime(299_999);
  (await openSocket(stage.url)).destroy();
  vi.advanceTimersByTime(1);
  await refusesConnections(stage.url);
  await closed;

  expect(draining).toEqual({ httpStatus: 503, status: 'draining', zitadel: 'up' });
  expect(inTime.errors).toBeUndefined();
  vi.useRealTimers();
  await stage[Symbol.asyncDispose]();
});

test.runIf(hasRedis)('reports whether Redis is up, stays ready without it, and disconnects at shutdown', async () => {
  await using redis = await startRedis();
  await redis.stop();
  await using stage = await openStage({ SMS_LIMITS: '', REDIS_URL: redis.url });
  const { url } = stage;
  await until(async () => (await readiness(url)).zitadel === 'up');
  const reports = (state: 'up' | 'down') => until(async () => (await readiness(url)).redis === state);

  expect(await readiness(url)).toEqual({ ...ready('up'), redis: 'down' });
  expect((await stage.resend()).errors).toBeUndefined();
  await redis.start();
  await reports('up');
  expect(await readiness(url)).toEqual({ ...ready('up'), redis: 'up' });
  await redis.stop();
  await reports('down');
  expect((await readiness(url)).httpStatus).toBe(200);
  await redis.start();
  await reports('up');
  expect(await redis.clients()).toBe(1);

  await stage.closeServer();
  await until(async () => (await redis.clients()) === 0);
});

test('reports ZITADEL as down if it does not answer a probe for two seconds, whatever ZITADEL_TIMEOUT_MS is', async () => {
  await using zitadel = await startEmbeddedZitadel();
  zitadel.misbehaveWhenProbed({ hold: new Promise(() => {}) });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await using stage = await openStage({ ZITADEL_URL: zitadel.url, ZITADEL_TIMEOUT_MS: '300000' });
  await zitadel.probed(1);

  expect(await readiness(stage.url)).toEqual(ready('unknown'));
  vi.advanceTimersByTime(2_000);
  expect(await readiness(stage.url)).toEqual(ready('down'));
});
