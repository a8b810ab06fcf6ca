import { Pool } from 'undici';
import { expect, onTestFinished, test, vi } from 'vitest';
import { Deadline, exchange } from '../src/zitadel/exchange.js';
import { gate } from './support/gate.js';
import { mutationNames, mutations } from './support/mutations.js';
import { openRawUpstream } from './support/raw-upstream.js';
import { resendAndHangUp } from './support/hang-up.js';
import { freePort } from './support/redis.js';
import { openStage, unverified } from './support/stage.js';

const json = { 'content-type': 'application/json' };
/** What an answer that cannot be read means for a write. */
const unreadable = { code: 'UPSTREAM_ERROR', outcome: 'UNKNOWN' };
const unreadableSuccess = { ...unreadable, zitadel: { httpStatus: 200 } };
const noConnection = { code: 'UPSTREAM_UNAVAILABLE', reason: 'NO_CONNECTION', outcome: 'NOT_DONE' };
const connectionLost = { code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST', outcome: 'UNKNOWN' };
const redirected = (httpStatus: number) => ({
  code: 'UPSTREAM_MISCONFIGURED',
  reason: 'REDIRECTED',
  outcome: 'NOT_DONE',
  zitadel: { httpStatus },
});
const details = '{"details":{"changeDate":"2025-08-07T06:05:04Z"}}';

test('gives up on a slow ZITADEL at the deadline, and reports that the SMS may have been sent', async () => {
  await using stage = await openStage({ ZITADEL_TIMEOUT_MS: '300000' });
  const answering = gate();
  stage.zitadel.misbehaveWhenWriting({ hold: answering.opened });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());

  const answer = stage.resend();
  await stage.zitadel.written(1);
  vi.advanceTimersByTime(300_000);
  const { errors } = await answer;
  answering.open();

  expect(errors?.map(({ extensions }) => extensions)).toEqual([{ code: 'UPSTREAM_TIMEOUT', outcome: 'UNKNOWN' }]);
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode']);
  expect(stage.zitadel.outbox).toHaveLength(1);
});

const half = (status: number) =>
  `HTTP/1.1 ${status} Status\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"det`;

test.for([
  ['a success with an incomplete body', half(200), { zitadel: { httpStatus: 200 } }],
  ['a refusal with an incomplete body', half(404), { zitadel: { httpStatus: 404 } }],
  ['early hints without an answer', 'HTTP/1.1 103 Early Hints\r\n\r\n', {}],
] as const)('gives up on %s', async ([, begun, rest]) => {
  await using upstream = await openRawUpstream((socket) => socket.write(begun));
  await using stage = await openStage({ ZITADEL_URL: upstream.url, ZITADEL_TIMEOUT_MS: '300000' });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());

  const answer = stage.resend({ mode: 'RETURN_CODE' });
  await upstream.headersRead;
  vi.advanceTimersByTime(300_000);

  expect((await answer).errors?.[0]?.extensions).toEqual({ code: 'UPSTREAM_TIMEOUT', outcome: 'UNKNOWN', ...rest });
  expect(upstream.seen.requests).toBe(1);
});

test('does not repeat a write whose connection breaks, whether new or reused', async () => {
  await using stage = await openStage();
  stage.zitadel.misbehave({ reset: true });
  const fresh = await stage.resend({ mode: 'RETURN_CODE' });
  await stage.resend({ mode: 'RETURN_CODE' });
  stage.zitadel.misbehave({ reset: true });
  const keptAlive = await stage.resend({ mode: 'RETURN_CODE' });

  expect(fresh.errors?.map(({ extensions }) => extensions)).toEqual([connectionLost]);
  expect(keptAlive.errors?.map(({ extensions }) => extensions)).toEqual([connectionLost]);
  expect(stage.zitadel.calls).toHaveLength(3);
});

test.for(mutationNames)('sends a mutation once, whatever its outcome: %s', async (name) => {
  await using stage = await openStage();
  const answer = (status: number, body: string) => ({ answer: { status, headers: json, body } });
  const outcomes = [
    // Half the answer to a successful mutation. It must come first, since the mutation can only succeed once.
    [{ cutOffAfter: 20 }, unreadableSuccess],
    [{ reset: true }, connectionLost],
    [
      answer(503, '{"code":14}'),
      {
        code: 'UPSTREAM_UNAVAILABLE',
        reason: 'SAYS_UNAVAILABLE',
        outcome: 'UNKNOWN',
        zitadel: { code: 14, status: 'UNAVAILABLE', httpStatus: 503 },
      },
    ],
    [answer(200, '{}'), unreadableSuccess],
    [answer(307, ''), redirected(307)],
    [
      answer(405, '{"code":12}'),
      {
        code: 'UPSTREAM_MISCONFIGURED',
        reason: 'ROUTE_UNKNOWN',
        outcome: 'NOT_DONE',
        zitadel: { code: 12, status: 'UNIMPLEMENTED', httpStatus: 405 },
      },
    ],
  ] as const;
  await stage.resend();
  const variables = { userId: unverified, ...mutations[name], verificationCode: stage.zitadel.codes[0] };
  stage.zitadel.calls.length = 0;

  for (const [misbehaviour, extensions] of outcomes) {
    stage.zitadel.misbehaveWhenWriting(misbehaviour);
    const { errors } = await stage.run(name, variables);
    expect(errors?.map((error) => error.extensions)).toEqual([extensions]);
  }

  expect(stage.zitadel.writes).toHaveLength(outcomes.length);
});

test('does not accept half a success', async () => {
  await using stage = await openStage();
  stage.zitadel.misbehave({ cutOffAfter: 20 });

  const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

  expect(errors?.[0]?.extensions).toEqual(unreadableSuccess);
  expect(stage.zitadel.calls).toHaveLength(1);
});

test('treats half a refusal as a refusal', async () => {
  await using upstream = await openRawUpstream((socket) => socket.end(half(404)));
  await using stage = await openStage({ ZITADEL_URL: upstream.url });

  const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

  expect(errors?.[0]?.extensions).toEqual({
    code: 'UPSTREAM_ERROR',
    outcome: 'NOT_DONE',
    zitadel: { httpStatus: 404 },
  });
  expect(upstream.seen.requests).toBe(1);
});

test('reads an answer of up to 1 MiB', async () => {
  await using stage = await openStage();
  const limit = 1024 * 1024;
  stage.zitadel.misbehave(
    { answer: { status: 200, headers: json, body: details.padEnd(limit) } },
    { answer: { status: 200, headers: json, body: details.padEnd(limit + 1) } },
  );

  const largest = await stage.resend({ mode: 'RETURN_CODE' });
  const tooLarge = await stage.resend({ mode: 'RETURN_CODE' });

  expect(largest.errors).toBeUndefined();
  expect(tooLarge.errors?.[0]?.extensions).toEqual(unreadableSuccess);
  expect(stage.zitadel.calls).toHaveLength(2);
});

test('never sends the token elsewhere, wherever ZITADEL redirects', async () => {
  await using elsewhere = await openStage();
  await using stage = await openStage();
  const location = `${elsewhere.zitadel.url}/v2/users/${unverified}/phone/resend`;
  for (const status of [301, 302, 303, 307, 308])
    stage.zitadel.misbehave({ answer: { status, headers: { location } } });

  for (const httpStatus of [301, 302, 303, 307, 308]) {
    const { errors } = await stage.resend({ mode: 'RETURN_CODE' });
    expect(errors?.map(({ extensions }) => extensions)).toEqual([redirected(httpStatus)]);
  }
  expect(stage.zitadel.calls).toHaveLength(5);
  expect(elsewhere.zitadel.calls).toEqual([]);
});

test('reports an upstream that does not speak HTTP as an error', async () => {
  await using upstream = await openRawUpstream((socket) => socket.end('SSH-2.0-OpenSSH_9.9\r\n'));
  await using stage = await openStage({ ZITADEL_URL: upstream.url });

  const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

  expect(errors?.[0]?.extensions).toEqual(unreadable);
  expect(upstream.seen.requests).toBe(1);
});

test('treats an answer with too large headers as unreadable', async () => {
  await using stage = await openStage();
  stage.zitadel.misbehave({
    answer: { status: 200, headers: { ...json, 'x-long': 'x'.repeat(20_000) }, body: details },
  });

  const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

  expect(errors?.[0]?.extensions).toEqual(unreadable);
  expect(stage.zitadel.calls).toHaveLength(1);
});

test('reports that nothing was sent if there was no connection: refused, unknown host, not TLS', async () => {
  const closed = `http://127.0.0.1:${await freePort()}`;
  await using plain = await openStage();
  // A label of more than 63 characters fails without a DNS query.
  const noSuchHost = `http://${'a'.repeat(64)}.example`;

  for (const url of [closed, noSuchHost, plain.zitadel.url.replace('http', 'https')]) {
    await using stage = await openStage({ ZITADEL_URL: url });
    const { errors } = await stage.resend({ mode: 'RETURN_CODE' });
    expect(errors?.map(({ extensions }) => extensions)).toEqual([noConnection]);
  }
  expect(plain.zitadel.calls).toEqual([]);
});

test('waits at most 3 seconds for a connection', async () => {
  await using silent = await openRawUpstream();
  // A TLS handshake that is never answered. The deadline of the call would be 10 seconds.
  await using stage = await openStage({ ZITADEL_URL: `https://127.0.0.1:${silent.port}` });

  const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

  expect(errors?.map(({ extensions }) => extensions)).toEqual([noConnection]);
  // One of the connections is for the probe.
  expect(silent.seen).toEqual({ connections: 2, requests: 0 });
});

test('sends nothing if the deadline passed in the queue', async () => {
  await using stage = await openStage();
  const pool = new Pool(stage.zitadel.url, { connections: 1 });
  const call = (path: string, deadlineMs: number) =>
    exchange(
      pool,
      { rpc: 'ResendPhoneCode', method: 'POST', path, headers: {}, body: '{}' },
      new Deadline(deadlineMs),
      1,
    );
  const answering = gate();
  stage.zitadel.misbehave({ hold: answering.opened });

  const first = call('/first', 10_000);
  await stage.zitadel.called(1);
  await expect(call('/second', 50)).rejects.toMatchObject({
    facts: { outcome: 'NOT_DONE', call: { kind: 'timeout', sent: false } },
  });
  answering.open();
  await first;
  await call('/third', 10_000);

  expect(stage.zitadel.calls.map(({ path }) => path)).toEqual(['/first', '/third']);
  await pool.close();
});

test('completes a resend when the caller hangs up', async () => {
  await using stage = await openStage();
  const answering = await resendAndHangUp(stage, 'RETURN_CODE');
  answering.open();

  await expect(stage.zitadel.calls[0]?.answered).resolves.toBe(true);
});
