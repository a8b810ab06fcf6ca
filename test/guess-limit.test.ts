import { expect, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { fiftyAtOnce } from './support/barrier.js';
import { stopClock } from './support/clock.js';
import { gate } from './support/gate.js';
import { bearer, manager, openStage, unverified } from './support/stage.js';
import { answered } from './support/zitadel.js';

const himself = bearer(tokens.self.token);

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
    codesOf: async (guesses: Promise<{ code: string }>[]) => (await Promise.all(guesses)).map(({ code }) => code),
  };
}

const wrong = { code: 'INVALID_VERIFICATION_CODE' };
const limited = (retryAfter: number) => ({ code: 'RATE_LIMITED', retryAfter });

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
  expect(stage.zitadel.calls).toHaveLength(5);

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
  expect(stage.zitadel.calls).toHaveLength(5);
});

test('counts a wrong code and an unknown outcome, and nothing else', async () => {
  await using stage = await openWithCode('3/10m');
  const { verify } = stage;

  for (let times = 0; times < 4; times += 1) {
    expect(await verify('')).toMatchObject({ code: 'BAD_USER_INPUT' });
    expect(await verify('S3CR3T', bearer('forged'))).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(await verify('S3CR3T', manager, users.uninitialised.userId)).toMatchObject({ code: 'FAILED_PRECONDITION' });
    stage.zitadel.misbehave(answered({ code: 7 }, 403));
    expect(await verify()).toMatchObject({ code: 'FORBIDDEN' });
  }
  expect(await verify()).toMatchObject(wrong);
  expect(await verify(stage.code)).toEqual({ code: 'VERIFIED' });
  stage.zitadel.misbehave({ hold: Promise.resolve() }, { reset: true });
  expect(await verify()).toMatchObject(wrong);
  expect(await verify()).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', outcome: 'UNKNOWN' });
  expect(await verify()).toMatchObject({ code: 'RATE_LIMITED' });
});

test("does not lock out anyone for another caller's wrong codes, or for another user", async () => {
  await using stage = await openWithCode('1/10m');
  const { verify } = stage;

  expect(await verify()).toMatchObject(wrong);
  expect(await verify()).toMatchObject({ code: 'RATE_LIMITED' });
  expect(await verify('S3CR3T', manager, users.phoneless.userId)).toMatchObject(wrong);
  expect(await verify(stage.code, himself)).toEqual({ code: 'VERIFIED' });
});

test('does not count what it has refused itself', async () => {
  await using stage = await openWithCode('2/10m');
  const { verify, codesOf } = stage;
  const answering = gate();
  const heldForbidden = { hold: answering.opened, ...answered({ code: 7 }, 403) };
  stage.zitadel.misbehave(heldForbidden, heldForbidden);

  const underWay = [verify(), verify()];
  await stage.zitadel.called(2);
  expect(new Set(await codesOf(Array.from({ length: 10 }, () => verify())))).toEqual(new Set(['RATE_LIMITED']));
  answering.open();
  expect(await codesOf(underWay)).toEqual(['FORBIDDEN', 'FORBIDDEN']);

  for (const code of [wrong.code, wrong.code, 'RATE_LIMITED']) expect(await verify()).toMatchObject({ code });
});

test('allows no extra guess if one is released after its ten minutes', async () => {
  const clock = stopClock();
  await using stage = await openWithCode('2/10m');
  const { verify } = stage;
  const answering = gate();
  stage.zitadel.misbehave({ hold: answering.opened, ...answered({ code: 7 }, 403) });

  const underWay = verify();
  await stage.zitadel.called(1);
  clock.move(600);
  expect(await verify()).toMatchObject(wrong);
  answering.open();
  expect(await underWay).toMatchObject({ code: 'FORBIDDEN' });

  for (const code of [wrong.code, 'RATE_LIMITED']) expect(await verify()).toMatchObject({ code });
});

test('limits nothing when switched off', async () => {
  await using stage = await openWithCode('off');

  const codes = await stage.codesOf(Array.from({ length: 20 }, () => stage.verify()));

  expect(new Set(codes)).toEqual(new Set([wrong.code]));
  expect(stage.zitadel.calls).toHaveLength(20);
});
