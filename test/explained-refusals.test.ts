import { expect, onTestFinished, test, vi } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { stopClock } from './support/clock.js';
import { gate } from './support/gate.js';
import { mutations, type Mutation } from './support/mutations.js';
import { readMany, readOne, user } from './support/reads.js';
import { bearer, extensionsOf, manager, openStage, post, unverified, type GraphQLAnswer } from './support/stage.js';
import { answered, messageOf, zitadel } from './support/zitadel.js';

// ZITADEL uses one error for several reasons. Then the user is read once, to find out which it was. Before an SMS, they have been read
// already.

const invalidCode = zitadel(3, 'INVALID_ARGUMENT', 400, 'COMMAND-eis9R', 'Code is invalid');
const noCode = zitadel(9, 'FAILED_PRECONDITION', 400, 'PHONE-5xrra88eq8', 'Code is empty');
const notFound = zitadel(5, 'NOT_FOUND', 404, 'COMMAND-ieJ2e', 'Phone not found');

const failedPrecondition = (reason: string) => ({ code: 'FAILED_PRECONDITION', reason, outcome: 'NOT_DONE' });
const wrongCode = { code: 'INVALID_VERIFICATION_CODE', outcome: 'NOT_DONE', zitadel: invalidCode };
const lastWrongCode = { ...wrongCode, attemptsLeft: 0 };

const proper = { hold: Promise.resolve() };

/** A stage where the unverified user has received a code. */
async function openWithCode(env: Record<string, string> = {}) {
  const stage = await openStage(env);
  await stage.resend();
  stage.zitadel.calls.length = 0;
  return {
    ...stage,
    code: stage.zitadel.codes[0],
    verify: (code: string | undefined, headers = manager, userId: string = unverified) => {
      const query = `mutation { it: verifyContactPhone(userId: "${userId}", verificationCode: "${code}") { user { id } } }`;
      return post<{ it: object | null }>(stage.graphql, { query }, headers);
    },
  };
}

test('a double tap on "Verify" verifies once, and says that the phone is already verified', async () => {
  await using stage = await openWithCode();
  const { code, verify, rpcs } = stage;

  const taps = await Promise.all([verify(code), verify(code)]);

  expect(taps.filter(({ errors }) => !errors).map(({ data }) => data)).toEqual([{ it: { user: { id: unverified } } }]);
  const [refused] = taps.filter(({ errors }) => errors);
  expect(refused).toMatchObject({
    status: 200,
    data: { it: null },
    errors: [{ message: 'The contact phone is already verified.', path: ['it'] }],
  });
  expect(refused && extensionsOf(refused)).toEqual([
    { ...failedPrecondition('ALREADY_VERIFIED'), zitadel: invalidCode },
  ]);
  expect(rpcs().sort()).toEqual(['GetUserByID', 'VerifyPhone', 'VerifyPhone']);
});

test('trying again after a lost answer shows that the phone is already verified', async () => {
  await using stage = await openWithCode();
  const { code, verify, rpcs } = stage;
  stage.zitadel.misbehave({ reset: true });

  const lost = await verify(code);
  const again = await verify(code);

  expect(lost.errors).toMatchObject([
    {
      message: 'The connection to the user service was lost. The change may have been made anyway.',
      extensions: { code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST', outcome: 'UNKNOWN' },
    },
  ]);
  expect(extensionsOf(again)).toEqual([{ ...failedPrecondition('ALREADY_VERIFIED'), zitadel: invalidCode }]);
  expect(rpcs()).toEqual(['VerifyPhone', 'VerifyPhone', 'GetUserByID']);
});

test('does not call a code wrong if there is no phone', async () => {
  await using stage = await openWithCode();

  const answer = await stage.verify('S3CR3T', manager, users.phoneless.userId);

  expect(answer.errors).toMatchObject([{ message: 'The user has no contact phone.' }]);
  expect(extensionsOf(answer)).toEqual([{ ...failedPrecondition('NO_PHONE'), zitadel: invalidCode }]);
  expect(stage.rpcs()).toEqual(['VerifyPhone', 'GetUserByID']);
});

test('explains with one read, as the caller', async () => {
  await using stage = await openWithCode();

  await stage.verify('S3CR3T');

  expect(stage.zitadel.calls).toMatchObject([
    { rpc: 'VerifyPhone', userId: unverified, headers: manager },
    { rpc: 'GetUserByID', userId: unverified, headers: manager },
  ]);
  expect(stage.zitadel.calls.map(messageOf)).toEqual([{ verificationCode: 'S3CR3T' }, {}]);
});

const unavailable = answered({ code: 14 }, 503);
const missing = answered(
  { code: 5, details: [{ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id: 'QUERY-Dfbg2' }] },
  404,
);

test.for([
  ['is unavailable twice', manager, [unavailable, unavailable], 3],
  ['breaks twice', manager, [{ reset: true }, { reset: true }], 3],
  ['is forbidden to a member', bearer(tokens.guest.token), [], 2],
  ['is forbidden to an outsider', bearer(tokens.outsider.token), [], 2],
  ['finds no user', manager, [missing], 2],
  ['fails', manager, [answered({ code: 13 }, 500)], 2],
  ['has another user in its answer', manager, [answered({ user: { userId: '1', machine: {} } })], 2],
] as const)(
  'leaves a refusal as it is, and counts the guess, if the explaining read %s',
  async ([, headers, reads, calls]) => {
    await using stage = await openWithCode({ VERIFY_LIMIT: '1/10m' });
    const { code, verify } = stage;
    await verify(code);
    stage.zitadel.calls.length = 0;
    // The phone is verified, but no read shows it.
    stage.zitadel.misbehave(proper, ...reads);

    const refused = await verify(code, headers);
    const again = await verify(code, headers);

    expect(extensionsOf(refused)).toEqual([lastWrongCode]);
    expect(extensionsOf(again)).toMatchObject([{ code: 'RATE_LIMITED', reason: 'WRONG_CODES', outcome: 'NOT_DONE' }]);
    expect(stage.zitadel.calls).toHaveLength(calls);
  },
);

test.for([
  ['reset', { reset: true }],
  ['answered with 503', unavailable],
] as const)('repeats the explaining read once if it is %s', async ([, misbehaviour]) => {
  await using stage = await openWithCode();
  await stage.verify(stage.code);
  stage.zitadel.calls.length = 0;
  stage.zitadel.misbehave(proper, misbehaviour);

  expect(extensionsOf(await stage.verify(stage.code))).toMatchObject([failedPrecondition('ALREADY_VERIFIED')]);
  expect(stage.rpcs()).toEqual(['VerifyPhone', 'GetUserByID', 'GetUserByID']);
});

test('does not read the user when no time is left', async () => {
  const clock = stopClock();
  await using stage = await openWithCode({ VERIFY_LIMIT: '1/10m' });
  const { code, verify, rpcs } = stage;
  await verify(code);
  stage.zitadel.calls.length = 0;
  const answering = gate();
  stage.zitadel.misbehave({ hold: answering.opened });

  const refused = verify(code);
  await stage.zitadel.called(1);
  clock.move(10);
  answering.open();

  expect(extensionsOf(await refused)).toEqual([lastWrongCode]);
  // Nor does the log count a read that timed out before it began.
  expect(JSON.parse(stage.lines.at(-1) ?? '')).toMatchObject({ msg: 'request', upstreamCalls: 1 });
  expect(extensionsOf(await verify(code))).toMatchObject([{ code: 'RATE_LIMITED' }]);
  expect(rpcs()).toEqual(['VerifyPhone']);
});

test('waits for the explaining read only as long as there is time left', async () => {
  await using stage = await openWithCode({ VERIFY_LIMIT: '1/10m' });
  const { code, verify, rpcs } = stage;
  await verify(code);
  stage.zitadel.calls.length = 0;
  const [answering, reading] = [gate(), gate()];
  stage.zitadel.misbehave({ hold: answering.opened }, { hold: reading.opened });
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());

  const refused = verify(code);
  await stage.zitadel.called(1);
  vi.advanceTimersByTime(9_000);
  answering.open();
  await stage.zitadel.called(2);
  vi.advanceTimersByTime(1_000);

  expect(extensionsOf(await refused)).toEqual([lastWrongCode]);
  expect(extensionsOf(await verify(code))).toMatchObject([{ code: 'RATE_LIMITED' }]);
  expect(rpcs()).toEqual(['VerifyPhone', 'GetUserByID']);
  reading.open();
  vi.useRealTimers();
});

test('counts a guess even if the phone turns out to be verified or absent', async () => {
  await using stage = await openWithCode({ VERIFY_LIMIT: '1/10m' });
  const { code, verify } = stage;
  const limited = { code: 'RATE_LIMITED', reason: 'WRONG_CODES', outcome: 'NOT_DONE' };
  await verify(code);
  stage.zitadel.calls.length = 0;

  for (const [userId, reason] of [
    [unverified, 'ALREADY_VERIFIED'],
    [users.phoneless.userId, 'NO_PHONE'],
  ] as const) {
    expect(extensionsOf(await verify(code, manager, userId))).toMatchObject([failedPrecondition(reason)]);
    expect(extensionsOf(await verify(code, manager, userId))).toMatchObject([limited]);
  }
  expect(stage.rpcs()).toEqual(['VerifyPhone', 'GetUserByID', 'VerifyPhone', 'GetUserByID']);
});

/** ZITADEL's answer if no code was ever requested for the phone. */
const neverRequestedCode = answered({ code: 9, message: noCode.message, details: noCode.details }, 400);

test('says why there is no code to return', async () => {
  await using stage = await openStage();
  const mode = 'RETURN_CODE';
  const verified = await stage.resend({ mode, userId: users.verified.userId });
  const phoneless = await stage.resend({ mode, userId: users.phoneless.userId });
  stage.zitadel.misbehave(neverRequestedCode);
  const neverRequested = await stage.resend({ mode });

  for (const [{ status, data, errors }, reason] of [
    [verified, 'ALREADY_VERIFIED'],
    [phoneless, 'NO_PHONE'],
    [neverRequested, 'NO_CODE_PENDING'],
  ] as const) {
    expect({ status, data }).toEqual({ status: 200, data: { resendContactPhoneCode: null } });
    expect(extensionsOf({ errors })).toEqual([{ ...failedPrecondition(reason), zitadel: noCode }]);
  }
  expect(stage.rpcs()).toEqual([
    ...['ResendPhoneCode', 'GetUserByID'],
    ...['ResendPhoneCode', 'GetUserByID'],
    ...['ResendPhoneCode', 'GetUserByID'],
  ]);
  expect(stage.zitadel.outbox).toEqual([]);
});

test.for([
  [
    // ZITADEL decides that it is verified. The read only explains why there is no code.
    'the phone is verified',
    users.verified,
    { ...failedPrecondition('ALREADY_VERIFIED'), zitadel: noCode },
    ['GetUserByID', 'ResendPhoneCode'],
  ],
  [
    // ZITADEL is not asked: it might send a ghost SMS.
    'there is no phone',
    users.phoneless,
    failedPrecondition('NO_PHONE'),
    ['GetUserByID', 'GetUserByID'],
  ],
  [
    // The read shows no other reason.
    'no code was ever requested',
    users.unverified,
    { ...failedPrecondition('NO_CODE_PENDING'), zitadel: noCode },
    ['GetUserByID', 'ResendPhoneCode'],
  ],
] as const)('says why there is no code to send by SMS: %s', async ([, { userId }, refused, rpcs]) => {
  await using stage = await openStage();
  if (userId === unverified) stage.zitadel.misbehaveWhenWriting(neverRequestedCode);

  const { status, data, errors } = await stage.resend({ mode: 'SEND_CODE', userId });

  expect({ status, data }).toEqual({ status: 200, data: { resendContactPhoneCode: null } });
  expect(extensionsOf({ errors })).toEqual([refused]);
  expect(stage.rpcs()).toEqual(rpcs);
  expect(stage.zitadel.outbox).toEqual([]);
});

test.for([
  ['is unavailable twice', [unavailable, unavailable], 3],
  ['breaks twice', [{ reset: true }, { reset: true }], 3],
  ['is forbidden', [answered({ code: 7 }, 403)], 2],
  ['finds no user', [missing], 2],
] as const)(
  'reports only that no code is pending if a code should be returned and the explaining read %s',
  async ([, reads, calls]) => {
    await using stage = await openStage();
    stage.zitadel.misbehave(proper, ...reads);

    const answer = await stage.resend({ mode: 'RETURN_CODE', userId: users.verified.userId });

    expect(extensionsOf(answer)).toEqual([{ ...failedPrecondition('NO_CODE_PENDING'), zitadel: noCode }]);
    expect(stage.zitadel.calls).toHaveLength(calls);
  },
);

test('a phone for which no code was ever requested must be removed before it can be set again', async () => {
  await using stage = await openStage();
  stage.zitadel.misbehaveWhenWriting(neverRequestedCode);
  const userId = unverified;
  const { number } = users.unverified.phone;

  const resent = await stage.resend();
  const again = await stage.run('set-contact-phone', { userId, number });
  await stage.run('remove-contact-phone', { userId });
  const afterRemoval = await stage.run('set-contact-phone', { userId, number });

  expect(extensionsOf(resent)).toMatchObject([failedPrecondition('NO_CODE_PENDING')]);
  expect(extensionsOf(again)).toMatchObject([failedPrecondition('SAME_NUMBER')]);
  expect(afterRemoval.errors).toBeUndefined();
  expect(stage.zitadel.outbox).toHaveLength(1);
});

/** The errors for a machine, for a user that does not exist, and for a machine that the caller may not read. */
async function refusalsOf(name: Mutation, variables: object) {
  await using stage = await openStage();
  const change = (userId: string, headers = manager) =>
    stage.run(name, { userId, ...mutations[name], ...variables }, headers) as Promise<GraphQLAnswer<object>>;

  const machine = await change(users.machine.userId);
  const unknown = await change('999999999999999999');
  const hidden = await change(users.machine.userId, bearer(tokens.outsider.token));

  expect(machine.errors).toMatchObject([{ message: 'This user is a machine. Machines have no contact phone.' }]);
  expect(stage.zitadel.outbox).toEqual([]);
  return { refusals: [machine, unknown, hidden].map(extensionsOf), rpcs: stage.rpcs() };
}

const notFoundFor = (reason: string) => ({ code: 'NOT_FOUND', reason, outcome: 'NOT_DONE' });
const userUnknown = { ...notFoundFor('USER_UNKNOWN'), zitadel: notFound };

test.for([
  ['set-contact-phone', { mode: 'RETURN_CODE' }, 'SetPhone'],
  ['set-contact-phone', { mode: 'MARK_VERIFIED' }, 'SetPhone'],
  ['resend-contact-phone-code', { mode: 'RETURN_CODE' }, 'ResendPhoneCode'],
  ['verify-contact-phone', {}, 'VerifyPhone'],
  ['remove-contact-phone', {}, 'RemovePhone'],
] as const)('distinguishes a machine from a user that does not exist: %s %o', async ([name, variables, rpc]) => {
  const { refusals, rpcs } = await refusalsOf(name, variables);

  // A caller who may not read the machine learns nothing about it.
  expect(refusals).toEqual([[{ ...userUnknown, reason: 'NOT_A_HUMAN' }], [userUnknown], [userUnknown]]);
  expect(rpcs).toEqual([rpc, 'GetUserByID', rpc, 'GetUserByID', rpc, 'GetUserByID']);
});

test.for(['set-contact-phone', 'resend-contact-phone-code'] as const)(
  'distinguishes a machine from a user that does not exist before an SMS: %s',
  async (name) => {
    const { refusals, rpcs } = await refusalsOf(name, { mode: 'SEND_CODE' });

    expect(refusals).toEqual([
      [notFoundFor('NOT_A_HUMAN')],
      [
        {
          ...notFoundFor('USER_UNKNOWN'),
          zitadel: zitadel(5, 'NOT_FOUND', 404, 'QUERY-Dfbg2', 'User could not be found'),
        },
      ],
      [
        {
          ...{ code: 'FORBIDDEN', reason: 'PERMISSION_MISSING', outcome: 'NOT_DONE' },
          zitadel: zitadel(5, 'NOT_FOUND', 404, 'AUTHZ-cdgFk', 'membership not found'),
        },
      ],
    ]);
    expect(rpcs).toEqual(['GetUserByID', 'GetUserByID', 'GetUserByID']);
  },
);

test.for([users.unverified, users.verified, users.phoneless])(
  'keeps the reason USER_UNKNOWN even if the read then finds a user who $description',
  async ({ userId }) => {
    await using stage = await openStage();
    // The user was created after the write, or ZITADEL gave a false answer.
    stage.zitadel.misbehave(answered({ code: 5, message: notFound.message, details: notFound.details }, 404));

    const answer = await stage.resend({ mode: 'RETURN_CODE', userId });

    expect(extensionsOf(answer)).toEqual([userUnknown]);
    expect(stage.rpcs()).toEqual(['ResendPhoneCode', 'GetUserByID']);
  },
);

test.for([users.unverified, users.verified])(
  'keeps the reason USER_UNKNOWN even if the read before an SMS found a user who $description',
  async ({ userId }) => {
    await using stage = await openStage();
    // The user was deleted after the read, or ZITADEL gave a false answer.
    stage.zitadel.misbehaveWhenWriting(
      answered({ code: 5, message: notFound.message, details: notFound.details }, 404),
    );

    const answer = await stage.resend({ mode: 'SEND_CODE', userId });

    expect(extensionsOf(answer)).toEqual([userUnknown]);
    expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode']);
  },
);

test('reads a machine as a user without a phone', async () => {
  await using stage = await openStage();
  const { userId } = users.machine;

  const alone = await readOne(stage.graphql, userId);
  const among = await readMany(stage.graphql, [user(userId), user(unverified)]);

  expect(alone).toMatchObject({ data: { contactPhone: null }, errors: undefined });
  expect(among).toMatchObject({
    data: { _entities: [{ contactPhone: null }, { contactPhone: users.unverified.phone }] },
    errors: undefined,
  });
  expect(stage.zitadel.calls).toHaveLength(2);
});
