import { setTimeout } from 'node:timers/promises';
import pLimit from 'p-limit';
import { beforeEach, expect, test, vi } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { callerKeyOf } from '../src/limits/limits.js';
import { fiftyAtOnce } from './support/fifty-at-once.js';
import { stopClock } from './support/clock.js';
import { gate } from './support/gate.js';
import { bearer, manager, openStage, post, unverified, type GraphQLAnswer } from './support/stage.js';

// Works as usual, but counts calls.
vi.mock('../src/limits/limits.js', { spy: true });
beforeEach(() => void vi.mocked(callerKeyOf).mockClear());

const self = bearer(tokens.self.token);

const extensionsOf = ({ errors }: GraphQLAnswer<object>) => errors?.map(({ extensions }) => extensions);
const limited = (retryAfter: number, reason = 'SMS_TO_USER') => [
  { code: 'RATE_LIMITED', reason, outcome: 'NOT_DONE', retryAfter },
];
/** While the same caller already has an SMS sent to the same user. */
const inProgress = limited(1, 'IN_PROGRESS');
const availableAt = ({ data }: GraphQLAnswer) => data?.resendContactPhoneCode?.resendAvailableAt;

const defaults = { SMS_LIMITS: '' };

test('sends one SMS in 30 seconds, and reports when another may be sent', async () => {
  const clock = stopClock();
  await using stage = await openStage(defaults);

  const first = await stage.resend();
  expect(first.errors).toBeUndefined();
  expect(availableAt(first)).toBe(clock.in(30));

  clock.move(10.5);
  const tooEarly = await stage.resend();
  expect(tooEarly).toMatchObject({ status: 200, data: { resendContactPhoneCode: null } });
  expect(tooEarly.errors).toMatchObject([{ path: ['resendContactPhoneCode'], message: /again later/ }]);
  expect(extensionsOf(tooEarly)).toEqual(limited(20));
  clock.move(19.499);
  expect(extensionsOf(await stage.resend())).toEqual(limited(1));
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode']);

  clock.move(0.001);
  expect((await stage.resend()).errors).toBeUndefined();
  expect(stage.zitadel.outbox).toHaveLength(2);
});

test('sends 5 SMS in 10 minutes and 20 in 24 hours, and reports when all windows allow another', async () => {
  const clock = stopClock();
  await using stage = await openStage(defaults);
  const began = Date.now();
  const at = (seconds: number) => new Date(began + seconds * 1000).toISOString();

  for (let times = 1; times <= 20; times += 1) {
    const sent = await stage.resend();
    expect(sent.errors).toBeUndefined();
    // Every fifth SMS uses up a window of ten minutes, which starts with its first SMS. The twentieth uses up the day.
    const minutes = Math.floor((times - 1) / 5) * 600;
    const next = times === 20 ? at(86_400) : times % 5 === 0 ? at(minutes + 600) : clock.in(30);
    expect(availableAt(sent)).toBe(next);
    clock.move((Date.parse(next) - Date.now()) / 1000 - 1);
    expect(extensionsOf(await stage.resend())).toEqual(limited(1));
    clock.move(1);
  }
  expect((await stage.resend()).errors).toBeUndefined();
  expect(stage.zitadel.outbox).toHaveLength(21);
});

test('counts per user across callers and mutations, but only what ZITADEL sends', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: '2/10m' });
  const set = (number: string, mode: string) =>
    stage.run('set-contact-phone', { userId: unverified, number, mode }, manager);

  expect((await stage.resend({}, self)).errors).toBeUndefined();
  const sent = await set('+41795550101', 'SEND_CODE');
  expect(sent.data?.setContactPhone?.resendAvailableAt).toBe(clock.in(600));
  for (const headers of [self, manager]) expect(extensionsOf(await stage.resend({}, headers))).toEqual(limited(600));
  expect(extensionsOf(await set('+41795550102', 'SEND_CODE'))).toEqual(limited(600));

  const returned = await stage.resend({ mode: 'RETURN_CODE' });
  const alsoReturned = await set('+41795550102', 'RETURN_CODE');
  const marked = await set('+41795550103', 'MARK_VERIFIED');
  expect([returned, alsoReturned, marked].map(({ errors }) => errors)).toEqual([undefined, undefined, undefined]);
  expect(returned.data?.resendContactPhoneCode?.resendAvailableAt).toBeNull();
  expect(alsoReturned.data?.setContactPhone?.resendAvailableAt).toBeNull();
  // Another user has a limit of their own.
  const other = await stage.run('set-contact-phone', { userId: users.phoneless.userId, number: '+41795550103' });
  expect(other.data?.setContactPhone?.resendAvailableAt).toBe(clock.in(0));
  expect(stage.zitadel.outbox).toHaveLength(3);
});

test('does not count what ZITADEL rejects or never received', async () => {
  await using stage = await openStage({ SMS_LIMITS: '1/24h' });
  const { userId } = users.verified;

  await stage.run('set-contact-phone', { userId, number: users.verified.phone.number });
  await stage.run('set-contact-phone', { userId, number: 'no number' });
  await stage.resend({ userId });
  await stage.resend({ userId }, bearer(tokens.member.token));
  await stage.resend({ userId }, bearer(tokens.outsider.token));
  await stage.resend({ userId }, bearer('forged'));
  const sent = await stage.run('set-contact-phone', { userId, number: '+41795550102' });

  expect(sent.errors).toBeUndefined();
  // The outsider and the forged token got no further than the read.
  expect(stage.rpcs()).toEqual([
    ...['GetUserByID', 'SetPhone'],
    ...['GetUserByID', 'ResendPhoneCode'],
    ...['GetUserByID', 'ResendPhoneCode'],
    ...['GetUserByID', 'GetUserByID'],
    ...['GetUserByID', 'SetPhone'],
  ]);
  expect(stage.zitadel.outbox).toHaveLength(1);
});

test('of 50 simultaneous resends by one caller, sends exactly one SMS', async () => {
  await using stage = await openStage(defaults);

  const answers = await fiftyAtOnce(stage.zitadel, 1, () => stage.resend());

  expect(answers.filter(({ errors }) => !errors)).toHaveLength(1);
  expect(answers.filter(({ errors }) => errors).map(extensionsOf)).toEqual(
    Array.from({ length: 49 }, () => inProgress),
  );
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode']);
  expect(stage.zitadel.outbox).toHaveLength(1);
});

test('holds callers back for as long as their call may take, and lets them try again in a second', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: '3/7s,5/10m' });
  const [reading, sending] = [gate(), gate()];
  stage.zitadel.misbehave({ hold: reading.opened }, { hold: sending.opened });

  const inFlight = stage.resend();
  await stage.zitadel.called(1);
  // The read and the write share ten seconds.
  clock.move(4.9);
  expect(extensionsOf(await stage.resend())).toEqual(inProgress);
  reading.open();
  await stage.zitadel.called(2);
  clock.move(5);
  expect(extensionsOf(await stage.resend())).toEqual(inProgress);
  sending.open();

  expect((await inFlight).errors).toBeUndefined();
  expect((await stage.resend()).errors).toBeUndefined();
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode', 'GetUserByID', 'ResendPhoneCode']);
});

test('lets two callers that ZITADEL accepts each send one at the same moment, and counts both', async () => {
  await using stage = await openStage({ SMS_LIMITS: '3/10m' });
  const answering = gate();
  stage.zitadel.misbehaveWhenWriting({ hold: answering.opened }, { hold: answering.opened });

  const both = [stage.resend(), stage.resend({}, self)];
  await stage.zitadel.written(2);
  answering.open();

  for (const { errors } of await Promise.all(both)) expect(errors).toBeUndefined();
  expect((await stage.resend()).errors).toBeUndefined();
  expect(extensionsOf(await stage.resend())).toMatchObject([{ code: 'RATE_LIMITED', reason: 'SMS_TO_USER' }]);
});

test('counts an unknown outcome as an SMS for this caller, but not for others', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: '1/30s,3/10m' });
  const unknown = async () => {
    const answer = { status: 503, headers: { 'content-type': 'application/json' }, body: '{}' };
    stage.zitadel.misbehaveWhenWriting({ answer });
    return (await stage.resend()).errors?.[0]?.extensions;
  };

  expect(await unknown()).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', outcome: 'UNKNOWN' });
  expect(extensionsOf(await stage.resend())).toEqual(limited(30));
  expect((await stage.resend({}, self)).errors).toBeUndefined();
  clock.move(30);
  expect(await unknown()).toMatchObject({ outcome: 'UNKNOWN' });
  // One sent and two unknown: the manager has to wait until the first unknown one is ten minutes old. The user does not.
  clock.move(30);
  expect(extensionsOf(await stage.resend())).toEqual(limited(540));
  const sent = await stage.resend({}, self);
  expect(availableAt(sent)).toBe(clock.in(30));
  // After these ten minutes, two sent SMS count for both callers.
  clock.move(540);
  const last = await stage.resend();
  expect(last.errors).toBeUndefined();
});

test('reports to callers with an unknown outcome when they may send again', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: '2/10m' });
  stage.zitadel.misbehaveWhenWriting({ reset: true });

  await stage.resend();
  clock.move(60);
  const sent = await stage.resend();

  expect(availableAt(sent)).toBe(clock.in(540));
  expect(extensionsOf(await stage.resend())).toEqual(limited(540));
});

test('remembers the unknown outcomes of a caller until their last window is over', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: '1/30s,2/1m' });

  stage.zitadel.misbehaveWhenWriting({ reset: true });
  await stage.resend();
  clock.move(40);
  stage.zitadel.misbehaveWhenWriting({ reset: true });
  await stage.resend();
  // The one-minute window is over, but the 30 seconds of the second are not.
  clock.move(21);
  expect(extensionsOf(await stage.resend())).toEqual(limited(9));
  clock.move(9);
  expect((await stage.resend()).errors).toBeUndefined();
});

test('does not let a flood of forged tokens delay the owner', { timeout: 120_000 }, async () => {
  const clock = stopClock();
  await using stage = await openStage(defaults);
  const refusedLate = {
    get hold() {
      return setTimeout(50);
    },
  };
  stage.zitadel.misbehave(...Array.from({ length: 1_001 }, () => refusedLate));

  // More than there are connections to ZITADEL, but not more than fit in the queue.
  const atOnce = pLimit(250);
  const flood = Array.from({ length: 1_000 }, (_, index) =>
    atOnce(() => stage.resend({}, bearer(`forged-${String(index).padStart(5, '0')}`))),
  );
  await stage.zitadel.called(100);
  const own = await stage.resend({}, self);

  expect(own.errors).toBeUndefined();
  // Once the owner's SMS is sent, nobody can send another one.
  for (const { errors } of await Promise.all(flood)) {
    expect(errors?.[0]?.extensions.reason).toMatch(/^(TOKEN_REFUSED|SMS_TO_USER)$/);
  }
  clock.move(30);
  expect((await stage.resend({}, self)).errors).toBeUndefined();
  expect(stage.zitadel.outbox).toHaveLength(2);
});

test('treats all callers with a nonstandard Authorization header as one caller', async () => {
  await using stage = await openStage({ SMS_LIMITS: '9/10m' });
  const answering = gate();
  stage.zitadel.misbehaveWhenWriting({ hold: answering.opened });
  const { token } = tokens.manager;
  const disguised = (authorization: string) => stage.resend({}, { authorization });

  const inFlight = disguised(`x Bearer ${token}`);
  await stage.zitadel.written(1);
  for (const other of [`Bearer  ${token}`, `Another Bearer ${token}`, `Bearer ${token} `.repeat(2)]) {
    expect(extensionsOf(await disguised(other))).toEqual(inProgress);
  }
  // A caller with the standard form is not affected.
  expect((await stage.resend()).errors).toBeUndefined();
  answering.open();
  expect((await inFlight).errors).toBeUndefined();
});

test.for([
  [
    'a header and claims',
    'eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLg',
    'eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2lnbmF0dXJlLh',
  ],
  ['an opaque token', 'b3BhcXVlLXRva2VuIQ', 'b3BhcXVlLXRva2VuIR=='],
] as const)('identifies %s by its decoded Base64', ([, one, same]) => {
  const keys = [one, same, `${one}A`].map((token) => callerKeyOf(`Bearer ${token}`));

  expect(keys[1]).toBe(keys[0]);
  expect(keys[2]).not.toBe(keys[0]);
});

test('keeps all users together within the budget', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: 'off', SMS_BUDGET: '3/1h' });
  const { userId } = users.phoneless;
  stage.zitadel.misbehaveWhenWriting({ reset: true });

  const unknown = await stage.resend();
  const refused = await stage.resend({ userId: users.verified.userId });
  const first = await stage.resend();
  clock.move(60);
  const second = await stage.run('set-contact-phone', { userId, number: '+41795550103' });

  expect(unknown.errors).toMatchObject([{ extensions: { reason: 'CONNECTION_LOST', outcome: 'UNKNOWN' } }]);
  expect(refused.errors).toMatchObject([
    { extensions: { code: 'FAILED_PRECONDITION', reason: 'ALREADY_VERIFIED', outcome: 'NOT_DONE' } },
  ]);
  expect(availableAt(first)).toBe(new Date(Date.now() - 60_000).toISOString());
  expect(second.data?.setContactPhone?.resendAvailableAt).toBe(clock.in(3_540));
  expect(extensionsOf(await stage.resend())).toEqual(limited(3_540, 'SMS_BUDGET'));
  expect(stage.zitadel.writes).toHaveLength(4);
  expect(stage.lines.filter((line) => line.includes('SMS_BUDGET is used up'))).toHaveLength(1);

  clock.move(3_540);
  expect((await stage.resend()).errors).toBeUndefined();
});

test.for([
  ['forward', 86_400],
  ['back', -86_400],
] as const)('keeps its limits when the system clock is set %s by a day', async ([, seconds]) => {
  const clock = stopClock();
  await using stage = await openStage({ ...defaults, SMS_BUDGET: '3/1h', VERIFY_LIMIT: '1/30s' });
  const verify = () => stage.run('verify-contact-phone', { userId: unverified, verificationCode: 'S3CR3T' });
  const resent = await stage.resend();
  expect(extensionsOf(await verify())).toMatchObject([{ code: 'INVALID_VERIFICATION_CODE' }]);

  clock.setDate(Date.now() + seconds * 1000);

  expect(availableAt(resent)).not.toBe(clock.in(30));
  expect(extensionsOf(await stage.resend())).toEqual(limited(30));
  expect(extensionsOf(await verify())).toEqual(limited(30, 'WRONG_CODES'));
  clock.move(30);
  expect(extensionsOf(await verify())).toMatchObject([{ code: 'INVALID_VERIFICATION_CODE' }]);
  // `resendAvailableAt` follows the new time of the system clock.
  expect(availableAt(await stage.resend())).toBe(clock.in(30));
});

test('has a budget besides the limits, and a call that it stops does not hold the user', async () => {
  const clock = stopClock();
  await using stage = await openStage({ ...defaults, SMS_BUDGET: '1/10s' });

  const sent = await stage.resend();
  expect(availableAt(sent)).toBe(clock.in(30));
  const other = { userId: users.phoneless.userId, number: '+41795550103' };
  expect(extensionsOf(await stage.run('set-contact-phone', other))).toEqual(limited(10, 'SMS_BUDGET'));
  clock.move(10);
  expect((await stage.run('set-contact-phone', other)).errors).toBeUndefined();
});

test('limits nothing when switched off', async () => {
  await using stage = await openStage({ SMS_LIMITS: 'off' });

  const answers = await Promise.all(Array.from({ length: 25 }, () => stage.resend()));

  expect(answers.map(({ errors }) => errors).filter(Boolean)).toEqual([]);
  expect(answers.map(availableAt)).toEqual(answers.map(() => null));
  expect(stage.zitadel.outbox).toHaveLength(25);
});

test('checks each mutation of one document, and hashes the token once for all', async () => {
  await using stage = await openStage({ SMS_LIMITS: '2/10m' });
  const one = 'resendContactPhoneCode(userId: $id) { resendAvailableAt }';
  const query = `mutation ($id: ID!) { first: ${one} second: ${one} third: ${one} }`;

  const { data, errors } = await post<Record<string, unknown>>(
    stage.graphql,
    { query, variables: { id: unverified } },
    manager,
  );

  expect(Object.values(data ?? {}).map(Boolean)).toEqual([true, true, false]);
  const refused = { code: 'RATE_LIMITED', reason: 'SMS_TO_USER', outcome: 'NOT_DONE' };
  expect(errors).toMatchObject([{ path: ['third'], extensions: refused }]);
  expect(callerKeyOf).toHaveBeenCalledTimes(1);
});
