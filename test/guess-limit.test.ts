import { expect, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { stopClock } from './support/clock.js';
import { allAtOnce, numbersTo } from './support/at-once.js';
import { gate } from './support/gate.js';
import { bearer, manager, openStage, unverified } from './support/stage.js';
import { answered } from './support/zitadel.js';

const self = bearer(tokens.self.token);

/** A stage where the unverified user has received a code, and guesses are limited. */
async function openWithCode(VERIFY_LIMIT = '', env: Record<string, string> = {}) {
  const stage = await openStage({ VERIFY_LIMIT, ...env });
  await stage.resend();
  stage.zitadel.calls.length = 0;
  const verify = async (verificationCode = 'S3CR3T', headers = manager, userId: string = unverified) => {
    const { errors } = await stage.run('verify-contact-phone', { userId, verificationCode }, headers);
    return errors?.[0]?.extensions ?? { code: 'VERIFIED' as const };
  };
  return {
    ...stage,
    code: stage.zitadel.codes[0],
    verify,
    /** How many codes reached ZITADEL. */
    guesses: () => stage.zitadel.writes.filter(({ rpc }) => rpc === 'VerifyPhone').length,
    codesOf: async (guesses: Promise<{ code: string }>[]) => (await Promise.all(guesses)).map(({ code }) => code),
  };
}

const wrong = { code: 'INVALID_VERIFICATION_CODE', outcome: 'NOT_DONE' };
const refused = { code: 'RATE_LIMITED', reason: 'WRONG_CODES', outcome: 'NOT_DONE' };
const limited = (retryAfter: number) => ({ ...refused, retryAfter });
const inProgress = { ...refused, reason: 'IN_PROGRESS', retryAfter: 1 };

test('passes at most five wrong codes to ZITADEL in any ten minutes', async () => {
  const clock = stopClock();
  await using stage = await openWithCode();
  const { verify } = stage;

  for (let times = 0; times < 5; times += 1) {
    expect(await verify()).toMatchObject(wrong);
    clock.move(60);
  }
  // Nor the right code: otherwise, refusals would reveal which code is wrong.
  expect(await verify(stage.code)).toEqual(limited(300));
  clock.move(299.999);
  expect(await verify()).toEqual(limited(1));
  // Each wrong code is explained with a read. A refusal makes no call.
  expect(stage.guesses()).toBe(5);
  expect(stage.zitadel.calls).toHaveLength(10);

  // The first guess expires now, and the second one in a minute.
  clock.move(0.001);
  expect(await verify()).toMatchObject(wrong);
  expect(await verify()).toEqual(limited(60));
  clock.move(60);
  expect(await verify(stage.code)).toEqual({ code: 'VERIFIED' });
});

test('passes five of 50 simultaneous wrong codes by one caller to ZITADEL', async () => {
  await using stage = await openWithCode();

  const answers = await allAtOnce(stage.zitadel, numbersTo(50), { reaching: 5 }, () => stage.verify());

  expect(answers.filter(({ code }) => code === 'RATE_LIMITED')).toEqual(Array(45).fill(inProgress));
  expect(answers.filter(({ code }) => code === wrong.code)).toHaveLength(5);
  expect(await stage.verify(stage.code)).toMatchObject(refused);
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
    stage.zitadel.misbehaveWhenWriting(answered({ code: 7 }, 403));
    expect(await verify()).toMatchObject({ code: 'FORBIDDEN' });
    stage.zitadel.misbehaveWhenWriting({ answer: { status: 404, headers: { 'content-type': 'text/html' } } });
    expect(await verify()).toMatchObject({ code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' });
  }
  expect(await verify()).toMatchObject(wrong);
  expect(await verify(stage.code)).toEqual({ code: 'VERIFIED' });
  // This counts as a wrong code: ZITADEL gives the same answer for both.
  expect(await verify()).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'ALREADY_VERIFIED' });
  stage.zitadel.misbehaveWhenWriting({ reset: true });
  expect(await verify()).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', outcome: 'UNKNOWN' });
  expect(await verify()).toMatchObject(refused);
});

test('locks a caller out only for their own wrong codes, and only for that user', async () => {
  await using stage = await openWithCode('1/10m');
  const { verify } = stage;

  expect(await verify()).toMatchObject(wrong);
  expect(await verify()).toMatchObject(refused);
  expect(await verify('S3CR3T', manager, users.phoneless.userId)).toMatchObject({ reason: 'NO_PHONE' });
  expect(await verify(stage.code, self)).toEqual({ code: 'VERIFIED' });
});

test('does not count codes that it refused itself', async () => {
  await using stage = await openWithCode('2/10m');
  const { verify, codesOf } = stage;
  const answering = gate();
  const heldForbidden = { hold: answering.opened, ...answered({ code: 7 }, 403) };
  stage.zitadel.misbehaveWhenWriting(heldForbidden, heldForbidden);

  const inFlight = [verify(), verify()];
  await stage.zitadel.written(2);
  expect(new Set(await codesOf(Array.from({ length: 10 }, () => verify())))).toEqual(new Set(['RATE_LIMITED']));
  answering.open();
  expect(await codesOf(inFlight)).toEqual(['FORBIDDEN', 'FORBIDDEN']);

  for (const code of [wrong.code, wrong.code, 'RATE_LIMITED']) expect(await verify()).toMatchObject({ code });
});

test('counts a code in flight as wrong once its answer is overdue, until it arrives', async () => {
  const clock = stopClock();
  await using stage = await openWithCode('1/10m');
  const { verify } = stage;
  const answering = gate();
  stage.zitadel.misbehaveWhenWriting({ hold: answering.opened, ...answered({ code: 7 }, 403) });

  const late = verify();
  await stage.zitadel.written(1);
  // ZITADEL_TIMEOUT_MS and a second more.
  clock.move(10.999);
  expect(await verify()).toEqual(inProgress);
  clock.move(0.001);
  expect(await verify()).toEqual(limited(600));
  answering.open();

  expect(await late).toMatchObject({ code: 'FORBIDDEN' });
  expect(await verify()).toMatchObject(wrong);
  expect(await verify()).toEqual(limited(600));
});

test('allows no extra guess if an overdue one is answered after another has been let through', async () => {
  const clock = stopClock();
  await using stage = await openWithCode('1/10m');
  const { verify } = stage;
  const [first, second] = [gate(), gate()];
  stage.zitadel.misbehaveWhenWriting({ hold: first.opened, ...answered({ code: 7 }, 403) }, { hold: second.opened });

  const late = verify();
  await stage.zitadel.written(1);
  clock.move(11 + 600);
  const next = verify();
  await stage.zitadel.written(2);
  first.open();
  expect(await late).toMatchObject({ code: 'FORBIDDEN' });
  expect(await verify()).toEqual(inProgress);
  second.open();

  expect(await next).toMatchObject(wrong);
  expect(await verify()).toEqual(limited(600));
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
] as const)('counts an answer that may mean a wrong code: %s', async ([, answer, code]) => {
  const clock = stopClock();
  await using stage = await openWithCode();
  stage.zitadel.misbehaveWhenWriting(...Array.from({ length: 60 }, () => answer));

  const codes = [];
  for (let times = 0; times < 60; times += 1) codes.push((await stage.verify()).code);

  expect(codes).toEqual([...Array<string>(5).fill(code), ...Array<string>(55).fill('RATE_LIMITED')]);
  expect(stage.zitadel.calls).toHaveLength(5);
  // Longer than the minute for which an unknown outcome counts.
  clock.move(599.999);
  expect(await stage.verify(stage.code)).toEqual(limited(1));
  expect(stage.zitadel.calls).toHaveLength(5);
});

test('does not lock the right code out for longer than a minute when ZITADEL was unavailable', async () => {
  const clock = stopClock();
  await using stage = await openWithCode();
  const { verify } = stage;
  const unavailable = answered({ code: 14 }, 503);
  stage.zitadel.misbehaveWhenWriting(...Array.from({ length: 5 }, () => unavailable));

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

test('allows no extra guess once unknown outcomes stop counting after a minute', async () => {
  const clock = stopClock();
  await using stage = await openWithCode('3/10m');
  const { verify } = stage;
  expect(await verify()).toMatchObject(wrong);
  stage.zitadel.misbehaveWhenWriting(answered({ code: 14 }, 503), { reset: true });
  for (let times = 0; times < 2; times += 1) expect(await verify()).toMatchObject({ outcome: 'UNKNOWN' });
  expect(await verify()).toEqual(limited(60));

  clock.move(60);
  for (let times = 0; times < 2; times += 1) expect(await verify()).toMatchObject(wrong);
  expect(await verify(stage.code)).toEqual(limited(540));
});

const sms = { mode: 'SEND_CODE' };
const returned = { mode: 'RETURN_CODE' };
const set = { number: '+41795550101' };

test.for([
  ['resend-contact-phone-code', sms, 'off'],
  ['resend-contact-phone-code', sms, '5/10m'],
  ['resend-contact-phone-code', returned, 'off'],
  ['resend-contact-phone-code', returned, '5/10m'],
  ['set-contact-phone', { ...set, ...sms }, 'off'],
  ['set-contact-phone', { ...set, ...sms }, '5/10m'],
  ['set-contact-phone', { ...set, ...returned }, 'off'],
  ['set-contact-phone', { ...set, ...returned }, '5/10m'],
] as const)(
  'lets a caller who requested a new code try five codes again: %s %o with SMS_LIMITS=%s',
  async ([name, variables, SMS_LIMITS]) => {
    stopClock();
    await using stage = await openWithCode('', { SMS_LIMITS });
    const { verify, zitadel } = stage;
    const tryFive = async (headers = manager) => {
      for (let times = 0; times < 5; times += 1) expect(await verify('S3CR3T', headers)).toMatchObject(wrong);
      expect(await verify('S3CR3T', headers)).toEqual(limited(600));
    };
    await tryFive();
    await tryFive(self);

    const { errors } = await stage.run(name, { userId: unverified, ...variables });

    expect(errors).toBeUndefined();
    await tryFive();
    // Another caller's guesses still count.
    expect(await verify(zitadel.pendingCode(unverified), self)).toEqual(limited(600));
    expect(stage.guesses()).toBe(15);
  },
);

test.for([
  ['refused to send by SMS', sms, answered({ code: 7 }, 403)],
  ['refused to return', returned, answered({ code: 7 }, 403)],
  ['perhaps sent by SMS', sms, { reset: true }],
  ['perhaps returned', returned, { reset: true }],
] as const)(
  'still counts what a caller tried before they requested a code that ZITADEL %s',
  async ([, variables, misbehaviour]) => {
    for (const SMS_LIMITS of ['off', '5/10m']) {
      stopClock();
      await using stage = await openWithCode('1/10m', { SMS_LIMITS });
      expect(await stage.verify()).toMatchObject(wrong);
      stage.zitadel.misbehaveWhenWriting(misbehaviour);

      const { errors } = await stage.resend(variables);

      expect(errors).toHaveLength(1);
      expect(await stage.verify(stage.zitadel.pendingCode(unverified))).toEqual(limited(600));
    }
  },
);

test('still counts what a caller tried before an SMS that the limits refused', async () => {
  stopClock();
  await using stage = await openWithCode('1/10m', { SMS_LIMITS: '1/1h' });
  expect(await stage.verify()).toMatchObject(wrong);

  const { errors } = await stage.resend();

  expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED', reason: 'SMS_TO_USER' } }]);
  expect(await stage.verify(stage.code)).toEqual(limited(600));
});

test('passes at most 25 wrong codes for a user to ZITADEL in any hour, even if new codes are requested', async () => {
  const clock = stopClock();
  await using stage = await openWithCode();
  const { verify } = stage;
  for (let codes = 0; codes < 5; codes += 1) {
    for (let times = 0; times < 5; times += 1) expect(await verify()).toMatchObject(wrong);
    clock.move(60);
    await stage.resend(returned);
  }

  expect(await verify(stage.zitadel.pendingCode(unverified))).toEqual(limited(3_300));
  expect(stage.guesses()).toBe(25);

  clock.move(3_299.999);
  await stage.resend(returned);
  expect(await verify()).toEqual(limited(1));
  clock.move(0.001);
  // The five guesses at the first code no longer count.
  for (let times = 0; times < 5; times += 1) expect(await verify()).toMatchObject(wrong);
  await stage.resend(returned);
  expect(await verify()).toEqual(limited(60));
  expect(stage.guesses()).toBe(30);
});

test('says how many more codes the caller may try now', async () => {
  const clock = stopClock();
  await using stage = await openWithCode();
  const tryCode = () => stage.verify('S3CR3T', self);

  for (const attemptsLeft of [4, 3, 2]) {
    expect(await tryCode()).toMatchObject({ ...wrong, attemptsLeft });
    clock.move(60);
  }
  for (const attemptsLeft of [1, 0]) expect(await tryCode()).toMatchObject({ ...wrong, attemptsLeft });
  expect(await tryCode()).toEqual(limited(420));
  clock.move(420);
  expect(await tryCode()).toMatchObject({ ...wrong, attemptsLeft: 0 });
  await stage.resend({}, self);
  for (const attemptsLeft of [4, 3]) expect(await tryCode()).toMatchObject({ ...wrong, attemptsLeft });
});

test('subtracts codes in flight from the attempts that are left', async () => {
  await using stage = await openWithCode('3/10m');
  const { verify } = stage;
  const answering = gate();
  const held = { hold: answering.opened };
  stage.zitadel.misbehaveWhenWriting(held, held);
  const inFlight = [verify(), verify()];
  await stage.zitadel.written(2);

  expect(await verify()).toMatchObject({ ...wrong, attemptsLeft: 0 });
  answering.open();
  for (const answer of inFlight) expect(await answer).toMatchObject({ ...wrong, attemptsLeft: 0 });
});

test('says how many attempts are left only if the code was wrong', async () => {
  await using stage = await openWithCode('9/10m');
  const { verify, zitadel } = stage;
  const answers = [await verify('')];
  answers.push(await verify('S3CR3T', bearer('forged')));
  answers.push(await verify('S3CR3T', manager, users.uninitialised.userId));
  answers.push(await verify('S3CR3T', manager, users.phoneless.userId));
  answers.push(await verify('S3CR3T', manager, users.verified.userId));
  answers.push(await verify('S3CR3T', manager, users.machine.userId));
  for (const misbehaviour of [answered({ code: 3 }, 400), answered({ code: 14 }, 503), { reset: true } as const]) {
    zitadel.misbehaveWhenWriting(misbehaviour);
    answers.push(await verify());
  }

  expect(answers.map(({ code }) => code)).toEqual([
    ...['BAD_USER_INPUT', 'UNAUTHENTICATED', 'FAILED_PRECONDITION', 'FAILED_PRECONDITION', 'FAILED_PRECONDITION'],
    ...['NOT_FOUND', 'BAD_USER_INPUT', 'UPSTREAM_UNAVAILABLE', 'UPSTREAM_UNAVAILABLE'],
  ]);
  for (const answer of answers) expect(answer).not.toHaveProperty('attemptsLeft');
});

test('limits nothing when turned off', async () => {
  await using stage = await openWithCode('off');

  const answers = await Promise.all(Array.from({ length: 30 }, () => stage.verify()));

  for (const answer of answers) {
    expect(answer).toMatchObject(wrong);
    expect(answer).not.toHaveProperty('attemptsLeft');
  }
  expect(stage.guesses()).toBe(30);
});
