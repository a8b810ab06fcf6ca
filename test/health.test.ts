import { afterEach, expect, test, vi } from 'vitest';
import { gate } from './support/gate.js';
import { openSocket, refusesConnections } from './support/sockets.js';
import { openStage } from './support/stage.js';
import { until } from './support/until.js';

afterEach(() => {
  vi.useRealTimers();
});

const readiness = async (url: string) => {
  const response = await fetch(`${url}/health/ready`);
  return { httpStatus: response.status, ...((await response.json()) as { status: string; zitadel: string }) };
};
const ready = (zitadel: string) => ({ httpStatus: 200, status: 'ok', zitadel });

test('tells of ZITADEL what the last call has shown, and stays ready', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  await using stage = await openStage();
  const { zitadel, url } = stage;

  for (const [misbehaviour, state] of [
    [{ answer: { status: 503 } }, 'down'],
    [undefined, 'up'],
    [{ reset: true }, 'down'],
    [{ answer: { status: 404, headers: { 'content-type': 'application/json' }, body: '{"code":5}' } }, 'up'],
    [{ answer: { status: 431 } }, 'up'],
    [{ answer: { status: 500, headers: { 'content-type': 'application/json' }, body: '{"code":13}' } }, 'down'],
  ] as const) {
    if (misbehaviour) zitadel.misbehave(misbehaviour);
    await stage.resend();
    expect(await readiness(url)).toEqual(ready(state));
  }
  expect(zitadel.calls.filter(({ path }) => path === '/debug/ready')).toEqual([]);
});

test('asks ZITADEL once in five seconds, when there was no call for as long, and does not wait for it', async () => {
  vi.useFakeTimers({ toFake: ['performance'] });
  await using stage = await openStage();
  const { zitadel, url } = stage;
  const answering = gate();
  zitadel.misbehave({ hold: answering.opened }, { answer: { status: 412 } }, { answer: { status: 404 } });
  const looks = () =>
    zitadel.calls.map(({ method, path, headers: { authorization } }) => [method, path, authorization]);
  const look = ['GET', '/debug/ready', undefined];

  expect(await readiness(url)).toEqual(ready('unknown'));
  await zitadel.called(1);
  vi.advanceTimersByTime(4_999);
  expect(await readiness(url)).toEqual(ready('unknown'));
  expect(looks()).toEqual([look]);
  answering.open();
  await until(async () => (await readiness(url)).zitadel === 'up');

  for (const [calls, state] of [
    [2, 'down'],
    [3, 'unknown'],
    [4, 'up'],
  ] as const) {
    vi.advanceTimersByTime(5_000);
    await readiness(url);
    await zitadel.called(calls);
    await until(async () => (await readiness(url)).zitadel === state);
  }
  expect(looks()).toEqual([look, look, look, look]);

  vi.advanceTimersByTime(4_999);
  await stage.resend();
  vi.advanceTimersByTime(4_999);
  expect(await readiness(url)).toEqual(ready('up'));
  expect(looks()).toHaveLength(5);
});

test('does not wait for ZITADEL to say that it is ready when it ends', async () => {
  const stage = await openStage({ ZITADEL_TIMEOUT_MS: '300000' });
  stage.zitadel.misbehave({ hold: new Promise(() => {}) });

  await readiness(stage.url);
  await stage.zitadel.called(1);

  await stage[Symbol.asyncDispose]();
});

test('tells that ZITADEL is not there, and not that it itself is not', async () => {
  await using stage = await openStage({ ZITADEL_URL: 'http://127.0.0.1:1' });

  await until(async () => (await readiness(stage.url)).zitadel === 'down');

  expect(await readiness(stage.url)).toEqual(ready('down'));
});

test('says that it is not ready, and serves all the same, for SHUTDOWN_DELAY_MS', async () => {
  const stage = await openStage({ SHUTDOWN_DELAY_MS: '300000', SMS_LIMITS: 'off' });
  await stage.resend();
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
