import dns from 'node:dns';
import { once } from 'node:events';
import net from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Lane } from '../src/zitadel/lane.js';
import { gate } from './support/gate.js';
import { openRawUpstream } from './support/raw-upstream.js';
import { readOne } from './support/reads.js';
import { openSocket } from './support/sockets.js';
import { manager, openStage, post, unverified, type GraphQLAnswer } from './support/stage.js';
import { until } from './support/until.js';

// How long calls wait for ZITADEL, which calls are not made, and which connections the others use.

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const long = 300_000;
/** The connections for writes, and the length of their queue. */
const [connections, queue] = [64, 1_000];

const notStarted = { code: 'UPSTREAM_TIMEOUT', outcome: 'NOT_DONE' };
const busy = { code: 'UPSTREAM_UNAVAILABLE', reason: 'BUSY', outcome: 'NOT_DONE', retryAfter: 1 };

/** Advances the clock without running timers. */
function pass(ms: number) {
  const now = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => now() + ms);
}

/** Makes ZITADEL answer none of the next writes until the gate opens. */
function hang(zitadel: Awaited<ReturnType<typeof openStage>>['zitadel'], writes: number) {
  const answering = gate();
  zitadel.misbehaveWhenWriting(...Array.from({ length: writes }, () => ({ hold: answering.opened })));
  return answering;
}

/** @returns a function that resolves when this many resends are in flight or in the queue */
function resendsWaiting() {
  const exchange = vi.spyOn(Lane.prototype, 'exchange');
  const resends = () => exchange.mock.calls.filter(([{ rpc }]) => rpc === 'ResendPhoneCode');
  return (count: number) => until(() => Promise.resolve(resends().length >= count));
}

describe('with a ZITADEL that hangs', () => {
  test('refuses at once what does not fit in the queue, and neither sends nor counts it', async () => {
    const limits = { SMS_LIMITS: '1/1h', VERIFY_LIMIT: '1/10m' };
    await using stage = await openStage({ ZITADEL_TIMEOUT_MS: String(long), ...limits });
    const verify = () => stage.run('verify-contact-phone', { userId: unverified, verificationCode: 'S3CR3T' });
    const answering = hang(stage.zitadel, connections);
    const waiting = resendsWaiting();

    const answers: Promise<GraphQLAnswer>[] = [];
    while (answers.length < connections + queue) {
      // A few at a time: if all connections arrived at once, a busy machine could take too long to read the requests on them.
      answers.push(...Array.from({ length: 56 }, () => stage.resend({ mode: 'RETURN_CODE' })));
      await waiting(answers.length);
    }
    const refused = await stage.resend({ mode: 'RETURN_CODE' });
    const refusedSms = await stage.resend();
    const refusedGuess = await verify();
    await stage.zitadel.written(connections);
    expect(stage.zitadel.writes).toHaveLength(connections);
    answering.open();

    for (const { errors } of await Promise.all(answers)) expect(errors).toBeUndefined();
    expect(stage.zitadel.writes).toHaveLength(connections + queue);
    for (const { errors } of [refused, refusedSms, refusedGuess]) expect(errors?.[0]?.extensions).toEqual(busy);
    expect((await stage.resend()).errors).toBeUndefined();
    expect((await verify()).errors?.[0]?.extensions.code).toBe('INVALID_VERIFICATION_CODE');
  });

  test('does not start a write with less than half of its time left', async () => {
    await using stage = await openStage({ ZITADEL_TIMEOUT_MS: String(long) });
    const answering = hang(stage.zitadel, connections);
    const waiting = resendsWaiting();

    const answers = Array.from({ length: connections + 1 }, () => stage.resend({ mode: 'RETURN_CODE' }));
    await waiting(connections + 1);
    await stage.zitadel.called(connections);
    pass(long / 2);
    answering.open();

    const errors = (await Promise.all(answers)).flatMap((answer) => answer.errors ?? []);
    expect(errors.map(({ extensions }) => extensions)).toEqual([notStarted]);
    expect(stage.zitadel.calls).toHaveLength(connections);
  });

  test('gives up on a write that has waited for half of its time', async () => {
    await using stage = await openStage({ ZITADEL_TIMEOUT_MS: String(long) });
    const answering = hang(stage.zitadel, connections);
    const waiting = resendsWaiting();
    const answers = Array.from({ length: connections }, () => stage.resend({ mode: 'RETURN_CODE' }));
    await stage.zitadel.called(connections);

    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const late = stage.resend({ mode: 'RETURN_CODE' });
    await waiting(connections + 1);
    vi.advanceTimersByTime(long / 2);
    expect((await late).errors?.map(({ extensions }) => extensions)).toEqual([notStarted]);

    answering.open();
    await Promise.all(answers);
    expect(stage.zitadel.calls).toHaveLength(connections);
  });

  test('keeps reading while the maximum number of resends hangs', async () => {
    await using stage = await openStage({ ZITADEL_TIMEOUT_MS: String(long) });
    const answering = hang(stage.zitadel, connections);

    const resends = Array.from({ length: 140 }, () => stage.resend({ mode: 'RETURN_CODE' }));
    await stage.zitadel.called(connections);
    const read = await readOne(stage.graphql, unverified);
    answering.open();
    await Promise.all(resends);

    expect(read).toMatchObject({ data: { contactPhone: { isVerified: false } }, errors: undefined });
    expect(stage.zitadel.calls[connections]).toMatchObject({ rpc: 'GetUserByID' });
  });
});

test('gives one mutation field a single deadline for all of its calls', async () => {
  await using stage = await openStage({ ZITADEL_TIMEOUT_MS: String(long) });
  const reading = gate();
  stage.zitadel.misbehave({ hold: reading.opened });

  const answer = stage.resend();
  await stage.zitadel.called(1);
  pass(long / 2);
  reading.open();

  expect((await answer).errors?.map(({ extensions }) => extensions)).toEqual([notStarted]);
  expect(stage.rpcs()).toEqual(['GetUserByID']);
  expect(stage.zitadel.outbox).toEqual([]);
});

const threeResends = `mutation {
  ${['a', 'b', 'c'].map((alias) => `${alias}: resendContactPhoneCode(userId: "${unverified}") { user { id } }`).join(' ')}
}`;

test('finishes the mutation in flight when the caller hangs up, and starts no other', async () => {
  await using stage = await openStage();
  const answering = hang(stage.zitadel, 1);
  const body = JSON.stringify({ query: threeResends });
  const caller = await openSocket(stage.url);
  caller.write(
    `POST /graphql HTTP/1.1\r\nHost: a\r\nAuthorization: ${manager.authorization}\r\n` +
      `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  );
  await stage.zitadel.written(1);

  caller.resume().end();
  await once(caller, 'close');
  answering.open();
  await expect(stage.zitadel.writes[0]?.answered).resolves.toBe(true);
  await stage.closeServer();

  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode']);
  expect(stage.zitadel.outbox).toHaveLength(1);
});

test('starts no other mutation after SHUTDOWN_TIMEOUT_MS', async () => {
  const stage = await openStage({ ZITADEL_TIMEOUT_MS: String(long), SHUTDOWN_TIMEOUT_MS: '50' });
  hang(stage.zitadel, 1);
  const call = post(stage.graphql, { query: threeResends }, manager);
  call.catch(() => {});
  await stage.zitadel.written(1);

  await expect(stage.closeServer()).rejects.toThrow();

  await expect(call).rejects.toThrow();
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode']);
  await stage.zitadel[Symbol.asyncDispose]();
});

const answer = '{"details":{"changeDate":"2025-08-07T06:05:04Z"}}';
const http = `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${answer.length}\r\n`;

test('reuses a connection for a write only within half a second', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  // Its header promises to keep them for a minute.
  await using upstream = await openRawUpstream((socket) =>
    socket.write(`${http}Connection: keep-alive\r\nKeep-Alive: timeout=60\r\n\r\n${answer}`),
  );
  await using stage = await openStage({ ZITADEL_URL: upstream.url });

  await stage.resend({ mode: 'RETURN_CODE' });
  vi.advanceTimersByTime(499);
  expect((await stage.resend({ mode: 'RETURN_CODE' })).errors).toBeUndefined();
  expect(upstream.seen).toEqual({ connections: 1, requests: 2 });

  vi.advanceTimersByTime(500);
  expect((await stage.resend({ mode: 'RETURN_CODE' })).errors).toBeUndefined();
  expect(upstream.seen).toEqual({ connections: 2, requests: 3 });
});

test('opens new connections after half a minute, so that it notices changes in DNS', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  await using upstream = await openRawUpstream((socket) => socket.write(`${http}\r\n${answer}`));
  await using stage = await openStage({ ZITADEL_URL: upstream.url });

  await stage.resend({ mode: 'RETURN_CODE' });
  await stage.resend({ mode: 'RETURN_CODE' });
  expect(upstream.seen.connections).toBe(1);
  pass(30_000);
  await stage.resend({ mode: 'RETURN_CODE' });

  expect(upstream.seen).toEqual({ connections: 2, requests: 3 });
});

test('lets requests in flight and in the queue continue when it opens new connections', async () => {
  await using stage = await openStage({ ZITADEL_TIMEOUT_MS: String(long) });
  const answering = hang(stage.zitadel, connections);
  const waiting = resendsWaiting();

  const before = Array.from({ length: connections + 5 }, () => stage.resend({ mode: 'RETURN_CODE' }));
  await waiting(connections + 5);
  await stage.zitadel.called(connections);
  pass(30_000);
  const after = stage.resend({ mode: 'RETURN_CODE' });
  await waiting(connections + 6);
  answering.open();

  const errors = (await Promise.all([after, ...before])).flatMap((answered) => answered.errors ?? []);
  expect(errors).toEqual([]);
  expect(stage.zitadel.calls).toHaveLength(connections + 6);
});

type FoundAll = (error: null | NodeJS.ErrnoException, addresses: dns.LookupAddress[]) => void;

test.for([
  ['first', ['::1', '127.0.0.1']],
  ['last', ['127.0.0.1', '::1']],
] as const)(
  'reaches a host with two addresses that refuses at the %s, and allows 1.2 s for a handshake',
  async ([, order]) => {
    await using upstream = await openRawUpstream((socket) => socket.write(`${http}\r\n${answer}`));
    const addresses = order.map((address) => ({ address, family: address === '::1' ? 6 : 4 }));
    const lookup = dns.lookup;
    vi.spyOn(dns, 'lookup').mockImplementation(((host: string, options: dns.LookupAllOptions, found: FoundAll) => {
      if (host === 'zitadel.example.com') found(null, addresses);
      else lookup(host, options, found);
    }) as typeof dns.lookup);
    const connect = vi.spyOn(net, 'connect');
    await using stage = await openStage({ ZITADEL_URL: `http://zitadel.example.com:${upstream.port}` });

    expect((await stage.resend({ mode: 'RETURN_CODE' })).errors).toBeUndefined();

    expect(connect).toHaveBeenCalledWith(
      expect.objectContaining({
        host: 'zitadel.example.com',
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: 1_200,
      }),
    );
  },
);
