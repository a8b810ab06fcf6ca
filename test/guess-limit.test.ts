import { expect, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { fiftyAtOnce } from './support/fifty-at-once.js';
import { stopClock } from './support/clock.js';
import { gate } from './support/gate.js';
import { bearer, manager, openStage, unverified } from './support/stage.js';
import { answered } from './support/zitadel.js';

const self = bearer(tokens.self.token);

/** A stage where the unverified user has received a code, and guesses are limited. */
async function openWithCode(VERIFY_LIMIT = '') {
  const stage = await openStage({ VERIFY_LIMIT });
  await stage.resend();
  stage.zitadel.calls.length = 0;
  const verify = async (verificationCode = 'S3CR3T', headers = manager, userId: string = unverified) => {
    const { errors } = await stage.run('verify-contact-phone', { userId, verificationCode }, headers);
    return errors?.[0]?.extensions ?? { code: 'VERIFIED' };
  };
  return {
    ...stage,
    code: stage.zitadel.codes[0],
    verify,
    /** How many codes reached ZITADEL. Its other calls are reads that look for another reason. */
    guesses: () => stage.zitadel.writes.length,
    codesOf: async (guesses: Promise<{ code: string }>[]) => (await Promise.all(guesses)).map(({ code }) => code),
  };
}

const wrong = { code: 'INVALID_VERIFICATION_CODE', outcome: 'NOT_DONE' };
const refused = { code: 'RATE_LIMITED', reason: 'WRONG_CODES', outcome: 'NOT_DONE' };
const limited = (retryAfter: number) => ({ ...refused, retryAfter });

test('passes at most five wrong codes to ZITADEL in any ten minutes', async () => {
  const clock = stopClock();
  await using stage = await openWithCode();
  const { verify } = stage;

  for (let times = 0; times < 5; times += 1) {
    expect(await verify()).toMatchObject(wrong);
    clock.move(60);
  }
  // Not even the right code, or the refusals would reveal it.
  expect(await verify(stage.code)).toEqual(limited(300));
  clock.move(299.999);
  expect(await verify()).toEqual(limited(1));
  expect(stage.guesses()).toBe(5);
  expect(stage.zitadel.calls).toHaveLength(10);

  // The first guess expires now, and the second one in a minute.
  clock.move(0.001);
  expect(await verify()).toMatchObject(wrong);
  expect(await verify()).toEqual(limited(60));
  clock.move(60);
  expect(await verify(stage.code)).toEqual({ code: 'VERIFIED' });
});

test('of 50 simultaneous wrong codes by one caller, lets five reach ZITADEL', async () => {
  await using stage = await openWithCode();

  const codes = (await fiftyAtOnce(stage.zitadel, 5, () => stage.verify())).map(({ code }) => code);

  expect(codes.filter((code) => code === 'RATE_LIMITED')).toHaveLength(45);
  expect(codes.filter((code) => code === wrong.code)).toHaveLength(5);
  expect(stage.guesses()).toBe(5);
});

test('counts a wrong code and an unknown outcome, and nothing else', async () => {
  await using stage = await openWithCode('3/10m');
  const { verify } = stage;

  for (let times = 0; times < 4; times += 1) {
    expect(await verify('')).toMatchObject({ code: 'BAD_USER_INPUT' });
    expect(await verify('S3CR3T', bearer('forged'))).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await verify('S3CR3T', manager, users.uninitialised.userId)).toMatchObject({
      code: 'FAILED_PRECONDITION',
      reason: 'USER_NOT_INITIALIZED',
    });
    stage.zitadel.misbehave(answered({ code: 7 }, 403));
    expect(await verify()).toMatchObject({ code: 'FORBIDDEN' });
    stage.zitadel.misbehave({ answer: { status: 404, headers: { 'content-type': 'text/html' } } });
    expect(await verify()).toMatchObject({ code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' });
  }
  expect(await verify()).toMatchObject(wrong);
  expect(await verify(stage.code)).toEqual({ code: 'VERIFIED' });
  // Still counts as a wrong code: ZITADEL gave the same answer.
  expect(await verify()).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'ALREADY_VERIFIED' });
  stage.zitadel.misbehave({ reset: true });
  expect(await verify()).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', outcome: 'UNKNOWN' });
  expect(await verify()).toMatchObject(refused);
});

test("does not lock out anyone for another caller's wrong codes, or for another user", async () => {
  await using stage = await openWithCode('1/10m');
  const { verify } = stage;

  expect(await verify()).toMatchObject(wrong);
  expect(await verify()).toMatchObject(refused);
  expect(await verify('S3CR3T', manager, users.phoneless.userId)).toMatchObject({ reason: 'NO_PHONE' });
  expect(await verify(stage.code, self)).toEqual({ code: 'VERIFIED' });
});

test('does not count what it has refused itself', async () => {
  await using stage = await openWithCode('2/10m');
  const { verify, codesOf } = stage;
  const answering = gate();
  const heldForbidden = { hold: answering.opened, ...answered({ code: 7 }, 403) };
  stage.zitadel.misbehave(heldForbidden, heldForbidden);

  const inFlight = [verify(), verify()];
  await stage.zitadel.called(2);
  expect(new Set(await codesOf(Array.from({ length: 10 }, () => verify())))).toEqual(new Set(['RATE_LIMITED']));
  answering.open();
  expect(await codesOf(inFlight)).toEqual(['FORBIDDEN', 'FORBIDDEN']);

  for (const code of [wrong.code, wrong.code, 'RATE_LIMITED']) expect(await verify()).toMatchObject({ code });
});

test('allows no extra guess if one is released after its place has gone to another', async () => {
  const clock = stopClock();
  await using stage = await openWithCode('1/10m');
  const { verify } = stage;
  const [first, second] = [gate(), gate()];
  stage.zitadel.misbehave({ hold: first.opened, ...answered({ code: 7 }, 403) }, { hold: second.opened });

  const late = verify();
  await stage.zitadel.called(1);
  clock.move(60);
  const next = verify();
  await stage.zitadel.called(2);
  first.open();
  expect(await late).toMatchObject({ code: 'FORBIDDEN' });
  expect(await verify()).toMatchObject(refused);
  second.open();

  expect(await next).toMatchObject(wrong);
  expect(await verify()).toMatchObject(refused);
  expect(stage.guesses()).toBe(2);
});

const json = { 'content-type': 'application/json' };
const detail = (type: string, id: string) => [{ '@type': `type.googleapis.com/${type}`, id }];

test.for([
  ['code 3 without an id', answered({ code: 3, message: 'No.' }, 400), 'BAD_USER_INPUT'],
  [
    'code 3 with another id',
    answered({ code: 3, details: detail('zitadel.v1.ErrorDetail', 'COMMAND-eis9S') }, 400),
    'BAD_USER_INPUT',
  ],
  [
    'code 3 with a detail of another type',
    answered({ code: 3, details: detail('google.rpc.ErrorInfo', 'COMMAND-eis9R') }, 400),
    'BAD_USER_INPUT',
  ],
  [
    'code 9 with an unknown id',
    answered({ code: 9, details: detail('zitadel.v1.ErrorDetail', 'COMMAND-Other') }, 400),
    'FAILED_PRECONDITION',
  ],
  ['a code that is not a google.rpc.Code', answered({ code: 400 }, 400), 'UPSTREAM_MISCONFIGURED'],
  [
    'HTML with the status 400',
    { answer: { status: 400, headers: { 'content-type': 'text/html' }, body: '<html>' } },
    'UPSTREAM_MISCONFIGURED',
  ],
  [
    'JSON that is cut short, with the status 400',
    { answer: { status: 400, headers: json, body: '{"code":3,' } },
    'UPSTREAM_ERROR',
  ],
] as const)('counts an answer that may be about a wrong code: %s', async ([, answer, code]) => {
  const clock = stopClock();
  await using stage = await openWithCode();
  stage.zitadel.misbehave(...Array.from({ length: 60 }, () => answer));

  const codes = [];
  for (let times = 0; times < 60; times += 1) codes.push((await stage.verify()).code);

  expect(codes).toEqual([...Array<string>(5).fill(code), ...Array<string>(55).fill('RATE_LIMITED')]);
  expect(stage.zitadel.calls).toHaveLength(5);
  // Not only for the minute that an unknown outcome counts for.
  clock.move(599.999);
  expect(await stage.verify(stage.code)).toEqual(limited(1));
  expect(stage.zitadel.calls).toHaveLength(5);
});

test('does not lock the right code out for longer than a minute when ZITADEL was unavailable', async () => {
  const clock = stopClock();
  await using stage = await openWithCode();
  const { verify } = stage;
  const unavailable = answered({ code: 14 }, 503);
  stage.zitadel.misbehave(...Array.from({ length: 5 }, () => unavailable));

  for (let times = 0; times < 5; times += 1) {
    expect(await verify(stage.code)).toMatchObject({ reason: 'SAYS_UNAVAILABLE', outcome: 'UNKNOWN' });
  }
  expect(await verify(stage.code)).toEqual(limited(60));
  clock.move(59.999);
  expect(await verify(stage.code)).toEqual(limited(1));
  expect(stage.zitadel.calls).toHaveLength(5);

  clock.move(0.001);
  expect(await verify(stage.code)).toEqual({ code: 'VERIFIED' });
});

test('allows no extra guess when a minute ends the places of unknown outcomes', async () => {
  const clock = stopClock();
  await using stage = await openWithCode('3/10m');
  const { verify } = stage;
  expect(await verify()).toMatchObject(wrong);
  stage.zitadel.misbehave(answered({ code: 14 }, 503), { reset: true });
  for (let times = 0; times < 2; times += 1) expect(await verify()).toMatchObject({ outcome: 'UNKNOWN' });
  expect(await verify()).toEqual(limited(60));

  clock.move(60);
  for (let times = 0; times < 2; times += 1) expect(await verify()).toMatchObject(wrong);
  expect(await verify(stage.code)).toEqual(limited(540));
});

test('limits nothing when switched off', async () => {
  await using stage = await openWithCode('off');

  const codes = await stage.codesOf(Array.from({ length: 20 }, () => stage.verify()));

  expect(new Set(codes)).toEqual(new Set([wrong.code]));
  expect(stage.guesses()).toBe(20);
});
