import { expect, onTestFinished, test, vi } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import { crowd } from './support/crowd.js';
import { gate } from './support/gate.js';
import { openRawUpstream } from './support/raw-upstream.js';
import { readMany, readOne, user } from './support/reads.js';
import { openStage, unverified, type Phone } from './support/stage.js';
import { answered } from './support/zitadel.js';

const unavailable = { answer: { status: 503, headers: { 'content-type': 'application/json' }, body: '{"code":14}' } };
const saysUnavailable = { code: 'UPSTREAM_UNAVAILABLE', reason: 'SAYS_UNAVAILABLE' };

test.for([
  ['a connection breaks', { reset: true }, { code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST' }],
  [
    'a connection breaks in the middle of an answer',
    { cutOffAfter: 20 },
    { code: 'UPSTREAM_ERROR', zitadel: { httpStatus: 200 } },
  ],
  [
    'ZITADEL is unavailable',
    unavailable,
    { ...saysUnavailable, zitadel: { code: 14, status: 'UNAVAILABLE', httpStatus: 503 } },
  ],
  [
    'a proxy in front of it reports it as unavailable',
    { answer: { status: 503, body: 'busy' } },
    { ...saysUnavailable, zitadel: { httpStatus: 503 } },
  ],
] as const)('repeats a read once when %s', async ([, misbehaviour, extensions]) => {
  await using stage = await openStage();

  stage.zitadel.misbehave(misbehaviour);
  const one = await readOne(stage.graphql, unverified);
  stage.zitadel.misbehave(misbehaviour);
  const many = await readMany(stage.graphql, [user(unverified), user(users.verified.userId)]);
  stage.zitadel.misbehave(misbehaviour, misbehaviour);
  const twice = await readOne(stage.graphql, unverified);

  expect(one.data?.contactPhone).toMatchObject(users.unverified.phone);
  expect(many.data?._entities).toEqual([
    { contactPhone: users.unverified.phone },
    { contactPhone: users.verified.phone },
  ]);
  expect(twice.errors?.[0]?.extensions).toEqual({ ...extensions, userId: unverified });
  expect(stage.zitadel.calls).toHaveLength(6);
});

test.for([
  ['a refusal', { answer: { status: 403, headers: { 'content-type': 'application/json' }, body: '{"code":7}' } }],
  ['a failure', { answer: { status: 500, headers: { 'content-type': 'application/json' }, body: '{"code":13}' } }],
  ['an answer over 1 MiB', { answer: { status: 200, body: ' '.repeat(1024 * 1024 + 1) } }],
  ['a bad gateway', { answer: { status: 502 } }],
  ['a gateway timeout', { answer: { status: 504 } }],
  ['an unreadable answer', { answer: { status: 200, headers: { 'content-type': 'application/json' } } }],
] as const)('does not repeat a read after %s', async ([, misbehaviour]) => {
  await using stage = await openStage();
  stage.zitadel.misbehave(misbehaviour);

  const { errors } = await readOne(stage.graphql, unverified);

  expect(errors).toHaveLength(1);
  expect(stage.zitadel.calls).toHaveLength(1);
});

test('gives a repeated read only the time that is left', async () => {
  const timeoutMs = 300_000;
  await using stage = await openStage({ ZITADEL_TIMEOUT_MS: String(timeoutMs) });
  const [first, second] = [gate(), gate()];
  stage.zitadel.misbehave({ hold: first.opened, ...unavailable }, { hold: second.opened });

  const answer = readOne(stage.graphql, unverified);
  await stage.zitadel.called(1);
  let passedMs = timeoutMs - 60_000;
  const now = performance.now.bind(performance);
  const later = vi.spyOn(performance, 'now').mockImplementation(() => now() + passedMs);
  onTestFinished(() => later.mockRestore());
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());
  first.open();
  await stage.zitadel.called(2);
  passedMs = timeoutMs;
  vi.advanceTimersByTime(60_000);

  expect((await answer).errors?.[0]?.extensions).toEqual({ code: 'UPSTREAM_TIMEOUT', userId: unverified });
  second.open();
});

test('does not repeat a read when no time is left', async () => {
  const timeoutMs = 300_000;
  await using stage = await openStage({ ZITADEL_TIMEOUT_MS: String(timeoutMs) });
  const first = gate();
  stage.zitadel.misbehave({ hold: first.opened, ...unavailable });

  const answer = readOne(stage.graphql, unverified);
  await stage.zitadel.called(1);
  const now = performance.now.bind(performance);
  const later = vi.spyOn(performance, 'now').mockImplementation(() => now() + timeoutMs);
  onTestFinished(() => later.mockRestore());
  first.open();

  expect((await answer).errors?.[0]?.extensions.code).toBe('UPSTREAM_UNAVAILABLE');
  expect(stage.zitadel.calls).toHaveLength(1);
});

test.for([
  ['early hints', 'HTTP/1.1 103 Early Hints\r\n\r\n', {}],
  [
    'half an answer',
    'HTTP/1.1 503 Status\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"code"',
    { zitadel: { httpStatus: 503 } },
  ],
] as const)('does not repeat a read that only got %s by its deadline', async ([, begun, rest]) => {
  await using upstream = await openRawUpstream((socket) => socket.write(begun));
  await using stage = await openStage({ ZITADEL_URL: upstream.url, ZITADEL_TIMEOUT_MS: '300000' });
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());

  const answer = readOne(stage.graphql, unverified);
  await upstream.headersRead;
  vi.advanceTimersByTime(300_000);

  expect((await answer).errors?.[0]?.extensions).toEqual({ code: 'UPSTREAM_TIMEOUT', userId: unverified, ...rest });
  expect(upstream.seen.requests).toBe(1);
});

test('does not use all connections for one request, however many users it asks for', async () => {
  await using stage = await openStage();
  const lists = gate();
  const people = crowd(2_000).map(({ userId }) => user(userId));
  stage.zitadel.misbehave(...Array.from({ length: 8 }, () => ({ hold: lists.opened })));

  const many = readMany(stage.graphql, people);
  await stage.zitadel.called(8);
  const meanwhile = await stage.resend();
  const calls = stage.zitadel.calls.length;
  lists.open();

  expect(meanwhile.errors).toBeUndefined();
  // The read before the SMS also takes a connection for reads.
  expect(calls).toBe(10);
  expect((await many).errors).toHaveLength(2_000);
  expect(stage.zitadel.calls).toHaveLength(22);
});

test('does not repeat a read that was never sent', async () => {
  await using upstream = await openRawUpstream(undefined, (socket) => socket.destroy());
  await using stage = await openStage({ ZITADEL_URL: upstream.url.replace('http:', 'https:') });

  const { errors } = await readOne(stage.graphql, unverified);

  expect(errors?.[0]?.extensions).toEqual({
    code: 'UPSTREAM_UNAVAILABLE',
    reason: 'NO_CONNECTION',
    userId: unverified,
  });
  // One of the connections is for the probe.
  expect(upstream.seen).toEqual({ connections: 2, requests: 0 });
});

const unknownUser = (userId: string) => ({ code: 'NOT_FOUND', reason: 'USER_UNKNOWN', userId });

test('interprets omitted fields and null as proto3 JSON defines them', async () => {
  await using stage = await openStage();
  const userId = unverified;
  const shapes: [object, Phone][] = [
    [{ userId, human: null, machine: {} }, null],
    [{ userId, human: {} }, null],
    [{ userId, human: { phone: null } }, null],
    [{ userId, human: { phone: {} } }, null],
    [{ userId, human: { phone: { phone: '' } } }, null],
    [{ userId, human: { phone: { phone: null, isVerified: null } } }, null],
    [
      { userId, human: { phone: { phone: '+41791234567', isVerified: null } } },
      { number: '+41791234567', isVerified: false },
    ],
  ];

  for (const [shape, phone] of shapes) {
    stage.zitadel.misbehave(answered({ user: shape }));
    expect(await readOne(stage.graphql, userId)).toMatchObject({ data: { contactPhone: phone }, errors: undefined });
  }
  for (const list of [{ details: {} }, { details: {}, result: null }]) {
    stage.zitadel.misbehave(answered(list));
    const { errors } = await readMany(stage.graphql, [user('1'), user('2')]);
    expect(errors?.map(({ extensions }) => extensions)).toEqual([unknownUser('1'), unknownUser('2')]);
  }
});

const phone = users.unverified.phone.number;

test.for<[string, object | undefined]>([
  ['no user', undefined],
  ['a user without an id', { human: {} }],
  ['another user', { userId: users.verified.userId, human: { phone: { phone } } }],
  ['a user who is neither human nor machine', { userId: unverified }],
  ['a number that is not a string', { userId: unverified, human: { phone: { phone: 41791234567 } } }],
  [
    'a number with an invalid verification flag',
    { userId: unverified, human: { phone: { phone, isVerified: 'perhaps' } } },
  ],
])('takes no phone from an answer with %s, and logs none of it', async ([what, shape]) => {
  await using stage = await openStage();
  stage.zitadel.misbehave(answered({ user: shape }), answered({ details: {}, result: [shape] }));

  const one = await readOne(stage.graphql, unverified);
  const many = await readMany(stage.graphql, [user(unverified), user(users.phoneless.userId)]);

  const unreadable = (userId: string) => ({ code: 'UPSTREAM_ERROR', zitadel: { httpStatus: 200 }, userId });
  // If several users are read, ZITADEL omits unknown ones.
  const left = what === 'another user' ? unknownUser : unreadable;
  expect(one.data).toEqual({ contactPhone: null });
  expect(one.errors?.map(({ extensions }) => extensions)).toEqual([unreadable(unverified)]);
  expect(many.data?._entities).toEqual([{ contactPhone: null }, { contactPhone: null }]);
  expect(many.errors?.map(({ extensions }) => extensions)).toEqual([left(unverified), left(users.phoneless.userId)]);
  expect(stage.lines.join('')).toContain('GetUserByID: malformed');
  expect(stage.lines.join('')).not.toContain('41791234567');
});

test('does not accept arbitrary JSON as an empty list', async () => {
  await using stage = await openStage();
  stage.zitadel.misbehave(answered({}));

  const { errors } = await readMany(stage.graphql, [user('1'), user('2')]);

  expect(errors?.map(({ extensions }) => extensions.code)).toEqual(['UPSTREAM_ERROR', 'UPSTREAM_ERROR']);
});

test('logs the cause of a failed call once, however many fields it affects', async () => {
  await using stage = await openStage();
  stage.zitadel.misbehave({ answer: { status: 500 } }, { answer: { status: 500 } });

  const { errors } = await readMany(
    stage.graphql,
    crowd(50).map(({ userId }) => user(userId)),
  );
  await readOne(stage.graphql, unverified);

  expect(errors).toHaveLength(50);
  const warnings = stage.lines.filter((line) => line.includes('"level":"warn"'));
  expect(warnings.map((line) => (JSON.parse(line) as { err: { message: string } }).err.message)).toEqual([
    'ListUsers: foreign (HTTP 500): content type none',
    'GetUserByID: foreign (HTTP 500): content type none',
  ]);
});
