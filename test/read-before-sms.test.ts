import { expect, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { stopClock } from './support/clock.js';
import { gate } from './support/gate.js';
import { bearer, manager, openStage, unverified } from './support/stage.js';
import { answered } from './support/zitadel.js';

// Before each SMS, this server reads the user, as the caller.

type Stage = Awaited<ReturnType<typeof openStage>>;

const bySms = {
  resend: (stage: Stage, userId: string, headers = manager) => stage.resend({ userId }, headers),
  set: (stage: Stage, userId: string, headers = manager) =>
    stage.run('set-contact-phone', { userId, number: '+41795550102' }, headers),
};
const names = Object.keys(bySms) as (keyof typeof bySms)[];
const both = <Row extends readonly unknown[]>(rows: readonly Row[]) =>
  names.flatMap((name) => rows.map((row) => [name, ...row] as const));

const firstExtensionsOf = ({ errors }: { errors: { extensions: object }[] | undefined }) => errors?.[0]?.extensions;

const noPhone = { code: 'FAILED_PRECONDITION', reason: 'NO_PHONE', outcome: 'NOT_DONE' };
const withoutPhone = answered({ user: { userId: unverified, human: { phone: {} } } });
const unavailable = answered({ code: 14 }, 503);

test.for(names)('reads the user once, as the caller, before an SMS: %s', async (name) => {
  await using stage = await openStage();

  const answer = await bySms[name](stage, unverified);

  expect(answer.errors).toBeUndefined();
  expect(stage.rpcs()).toEqual(['GetUserByID', name === 'set' ? 'SetPhone' : 'ResendPhoneCode']);
  expect(stage.zitadel.calls).toMatchObject([
    { userId: unverified, headers: manager },
    { userId: unverified, headers: manager },
  ]);
  expect(stage.zitadel.outbox).toHaveLength(1);
});

test('does not read the user if no SMS is sent', async () => {
  await using stage = await openStage();
  const userId = unverified;

  await stage.resend({ mode: 'RETURN_CODE' });
  await stage.run('set-contact-phone', { userId, number: '+41795550102', mode: 'RETURN_CODE' });
  await stage.run('set-contact-phone', { userId, number: '+41795550103', mode: 'MARK_VERIFIED' });
  await stage.run('remove-contact-phone', { userId });

  expect(stage.rpcs()).toEqual(['ResendPhoneCode', 'SetPhone', 'SetPhone', 'RemovePhone']);
});

test('reads twice before it says that there is no phone to resend a code to', async () => {
  await using stage = await openStage();

  const answer = await stage.resend({ userId: users.phoneless.userId });

  expect(answer.errors).toMatchObject([{ message: 'The user has no contact phone.' }]);
  expect(firstExtensionsOf(answer)).toEqual(noPhone);
  expect(stage.rpcs()).toEqual(['GetUserByID', 'GetUserByID']);
});

test('resends the code if only the first read shows no phone', async () => {
  await using stage = await openStage();
  stage.zitadel.misbehave(withoutPhone);

  const answer = await stage.resend();

  expect(answer.errors).toBeUndefined();
  expect(stage.rpcs()).toEqual(['GetUserByID', 'GetUserByID', 'ResendPhoneCode']);
});

test.for(
  both([
    ['a machine', users.machine, { code: 'NOT_FOUND', reason: 'NOT_A_HUMAN' }],
    [
      'a user who has never signed in',
      users.uninitialised,
      { code: 'FAILED_PRECONDITION', reason: 'USER_NOT_INITIALIZED' },
    ],
  ] as const),
)('does not %s by SMS for %s', async ([name, , { userId }, verdict]) => {
  await using stage = await openStage();

  const answer = await bySms[name](stage, userId);

  expect(firstExtensionsOf(answer)).toEqual({ ...verdict, outcome: 'NOT_DONE' });
  expect(stage.rpcs()).toEqual(['GetUserByID']);
});

const missing = '999999999999999999';

test.for(
  both([
    ['an expired token', tokens.expired, unverified, { code: 'UNAUTHENTICATED', zitadel: { id: 'AUTH-7fs1e' } }],
    ['an outsider', tokens.outsider, unverified, { code: 'FORBIDDEN', zitadel: { id: 'AUTHZ-cdgFk' } }],
    ['a member without user.read', tokens.guest, unverified, { code: 'FORBIDDEN', zitadel: { id: 'AUTH-AWfge' } }],
    ['a user that does not exist', tokens.manager, missing, { code: 'NOT_FOUND', zitadel: { id: 'QUERY-Dfbg2' } }],
  ] as const),
)('does not %s by SMS for %s, and counts nothing', async ([name, , { token }, userId, refusal]) => {
  await using stage = await openStage({ SMS_LIMITS: '1/24h' });

  const refused = await bySms[name](stage, userId, bearer(token));
  const rpcs = stage.rpcs();
  const allowed = await bySms[name](stage, unverified);

  expect(firstExtensionsOf(refused)).toMatchObject({ ...refusal, outcome: 'NOT_DONE' });
  expect(rpcs).toEqual(['GetUserByID']);
  expect(allowed.errors).toBeUndefined();
});

test.for(
  both([
    ['is unavailable twice', [unavailable, unavailable], { code: 'UPSTREAM_UNAVAILABLE' }],
    ['loses its connection twice', [{ reset: true }, { reset: true }], { code: 'UPSTREAM_UNAVAILABLE' }],
    ['fails', [answered({ code: 13 }, 500)], { code: 'UPSTREAM_ERROR' }],
    ['exceeds the quota', [answered({ code: 8 }, 429)], { code: 'RATE_LIMITED', reason: 'UPSTREAM_QUOTA' }],
    ['shows another user', [answered({ user: { userId: '1', human: {} } })], { code: 'UPSTREAM_ERROR' }],
  ] as const),
)('does not %s by SMS if the read %s, and counts nothing', async ([name, , answers, failure]) => {
  await using stage = await openStage({ SMS_LIMITS: '1/24h' });
  stage.zitadel.misbehave(...answers);

  const failed = await bySms[name](stage, unverified);
  const rpcs = stage.rpcs();
  const again = await bySms[name](stage, unverified);

  expect(firstExtensionsOf(failed)).toMatchObject({ ...failure, outcome: 'NOT_DONE' });
  expect(rpcs).toEqual(answers.map(() => 'GetUserByID'));
  expect(again.errors).toBeUndefined();
  expect(stage.zitadel.outbox).toHaveLength(1);
});

test.for(names)('does not %s by SMS if the read used up half of the time', async (name) => {
  const clock = stopClock();
  await using stage = await openStage();
  const reading = gate();
  stage.zitadel.misbehave({ hold: reading.opened });

  const late = bySms[name](stage, unverified);
  await stage.zitadel.called(1);
  clock.move(6);
  reading.open();

  expect(firstExtensionsOf(await late)).toEqual({ code: 'UPSTREAM_TIMEOUT', outcome: 'NOT_DONE' });
  expect(stage.rpcs()).toEqual(['GetUserByID']);
});

test('a read does not prove that the caller may write', async () => {
  await using stage = await openStage();

  const answer = await stage.resend({}, bearer(tokens.member.token));

  expect(firstExtensionsOf(answer)).toMatchObject({
    code: 'FORBIDDEN',
    outcome: 'NOT_DONE',
    zitadel: { id: 'AUTH-AWfge' },
  });
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode']);
});
