import { expect, onTestFinished, test, vi } from 'vitest';
import { tokens, users, type EmbeddedToken } from '../src/embedded-zitadel/population.js';
import { stopClock } from './support/clock.js';
import { crowd } from './support/crowd.js';
import { allAtOnce, numbersTo } from './support/at-once.js';
import { gate } from './support/gate.js';
import { bearer, manager, openStage, post, unverified } from './support/stage.js';
import { answered } from './support/zitadel.js';

// ZITADEL lets anyone with a token try codes for any user. Strangers, who may not read the user, share five guesses an hour.

const { organisation } = users.unverified;
const self = bearer(tokens.self.token);

/** Tokens of different people, none of them in the population. */
const people = (kind: string, memberships: EmbeddedToken['memberships'], count: number) =>
  Array.from({ length: count }, (_, index) => ({
    description: `is a ${kind}`,
    // The number comes first: ZITADEL ignores the last bits of a token.
    token: `${index}-embedded-token-of-a-${kind}`,
    userId: `50${index}`,
    memberships,
  }));
const headersOf = (all: readonly EmbeddedToken[]) => all.map(({ token }) => bearer(token));

const moreTokens = [
  ...people('stranger', {}, 50),
  ...people('reader', { [organisation]: ['user.read'] }, 6),
] as const satisfies EmbeddedToken[];
const strangers = headersOf(moreTokens.slice(0, 50));
const readers = headersOf(moreTokens.slice(50));
const [stranger = {}, another = {}] = strangers;
const forged = (count: number) => Array.from({ length: count }, (_, index) => bearer(`${index}-forged-token`));

/** A stage where the unverified user has received a code, and guesses are limited. */
async function openWithCode(VERIFY_LIMIT = '') {
  const stage = await openStage({ VERIFY_LIMIT }, { moreTokens });
  await stage.resend();
  stage.zitadel.calls.length = 0;
  const verify = async (headers: Record<string, string>, code = 'S3CR3T', userId: string = unverified) => {
    const query = `mutation { verifyContactPhone(userId: "${userId}", verificationCode: "${code}") { user { id } } }`;
    const { errors } = await post(stage.graphql, { query }, headers);
    return errors?.[0]?.extensions ?? { code: 'VERIFIED' };
  };
  return {
    ...stage,
    code: stage.zitadel.codes[0],
    verify,
    /** Lets the last five strangers use up the guesses of all strangers. */
    async useUpStrangersGuesses() {
      for (const headers of strangers.slice(-5)) expect(await verify(headers)).toMatchObject(wrong);
      stage.zitadel.calls.length = 0;
    },
  };
}

const wrong = { code: 'INVALID_VERIFICATION_CODE', outcome: 'NOT_DONE' };
const refused = { code: 'RATE_LIMITED', reason: 'WRONG_CODES', outcome: 'NOT_DONE' };
const limited = (retryAfter: number) => ({ ...refused, retryAfter });
const inProgress = { ...refused, reason: 'IN_PROGRESS', retryAfter: 1 };
const notAuthenticated = { code: 'UNAUTHENTICATED', reason: 'TOKEN_REFUSED', outcome: 'NOT_DONE' };
const unavailable = answered({ code: 14 }, 503);
const missing = answered(
  { code: 5, details: [{ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id: 'QUERY-Dfbg2' }] },
  404,
);

test.for([
  ['the user', self],
  ['a manager', manager],
] as const)(
  'passes five of the codes that 50 strangers try to ZITADEL, and then still the code of %s',
  async ([, headers]) => {
    const clock = stopClock();
    await using stage = await openWithCode();
    const { verify, zitadel } = stage;

    const atOnce = await allAtOnce(zitadel, strangers, { reaching: 5 }, (stranger) => verify(stranger));
    expect(atOnce.filter(({ code }) => code === wrong.code)).toHaveLength(5);
    expect(atOnce.filter(({ code }) => code !== wrong.code)).toEqual(Array(45).fill(inProgress));
    for (const one of strangers) expect(await verify(one, stage.code)).toEqual(limited(3_600));
    clock.move(1_200);
    for (const one of strangers) expect(await verify(one, stage.code)).toEqual(limited(2_400));
    expect(zitadel.writes).toHaveLength(5);

    zitadel.calls.length = 0;
    expect(await verify(headers, stage.code)).toEqual({ code: 'VERIFIED' });
    expect(stage.rpcs()).toEqual(['GetUserByID', 'VerifyPhone']);
  },
);

test('lets strangers try another code whenever one of their five is an hour old', async () => {
  const clock = stopClock();
  await using stage = await openWithCode();
  for (const headers of strangers.slice(0, 5)) {
    expect(await stage.verify(headers)).toMatchObject(wrong);
    clock.move(60);
  }

  expect(await stage.verify(stranger)).toEqual(limited(3_300));
  clock.move(3_299.999);
  expect(await stage.verify(stranger)).toEqual(limited(1));
  clock.move(0.001);
  expect(await stage.verify(stranger)).toMatchObject(wrong);
  expect(await stage.verify(another)).toEqual(limited(60));
  expect(stage.zitadel.writes).toHaveLength(6);
});

test("allows five guesses from other accounts to someone who sets another person's number on their account", async () => {
  const [account, victim] = crowd(2);
  const others = people('second-account', {}, 3);
  const owner = { ...people('first-account', {}, 1)[0], userId: account?.userId ?? '' } as EmbeddedToken;
  await using stage = await openStage(
    { VERIFY_LIMIT: '' },
    { moreUsers: [account, victim].filter((user) => user !== undefined), moreTokens: [owner, ...others] },
  );
  const { userId } = owner;
  const number = victim?.phone.number ?? '';
  const set = await stage.run('set-contact-phone', { userId, number }, bearer(owner.token));
  expect(set.errors).toBeUndefined();
  expect(stage.zitadel.outbox).toMatchObject([{ userId, number }]);

  const guess = async ({ token }: EmbeddedToken) => {
    const variables = { userId, verificationCode: 'S3CR3T' };
    return (await stage.run('verify-contact-phone', variables, bearer(token))).errors?.[0]?.extensions.code;
  };
  const codes = [];
  for (const other of others) for (let times = 0; times < 5; times += 1) codes.push(await guess(other));

  expect(codes).toEqual([...Array<string>(5).fill(wrong.code), ...Array<string>(10).fill('RATE_LIMITED')]);
  expect(stage.zitadel.writes.filter(({ rpc }) => rpc === 'VerifyPhone')).toHaveLength(5);
});

test('lets callers who may read the user try five codes each, and all together 25 in an hour', async () => {
  const clock = stopClock();
  await using stage = await openWithCode();
  const { verify, zitadel } = stage;
  const [first = {}, , , , , last = {}] = readers;

  // The fifth reader uses up the last of the 25, so they wait for the first of these to expire.
  for (const [index, retryAfter] of [600, 600, 600, 600, 3_360].entries()) {
    const reader = readers[index] ?? {};
    for (let times = 0; times < 5; times += 1) expect(await verify(reader)).toMatchObject(wrong);
    expect(await verify(reader)).toEqual(limited(retryAfter));
    clock.move(60);
  }
  expect(zitadel.writes).toHaveLength(25);
  zitadel.calls.length = 0;
  for (const headers of [first, last, self, manager, stranger]) {
    expect(await verify(headers, stage.code)).toEqual(limited(3_300));
  }
  clock.move(3_299.999);
  expect(await verify(last)).toEqual(limited(1));
  expect(zitadel.calls).toEqual([]);

  clock.move(0.001);
  for (let times = 0; times < 5; times += 1) expect(await verify(last)).toMatchObject(wrong);
  expect(await verify(self, stage.code)).toEqual(limited(60));
  expect(zitadel.writes).toHaveLength(5);
});

test('lets the user through while forged tokens have guesses in flight', async () => {
  await using stage = await openWithCode();
  const { verify, zitadel } = stage;
  const answering = gate();
  const held = { hold: answering.opened };
  zitadel.misbehaveWhenWriting(...Array.from({ length: 5 }, () => held));
  zitadel.misbehave(...Array.from({ length: 40 }, () => held));

  const inFlight = forged(45).map((headers) => verify(headers));
  // Five of them try their codes. The others may belong to readers, so the server tries to read the user as each of them.
  await zitadel.called(45);
  expect(zitadel.writes).toHaveLength(5);
  const answer = await verify(self, stage.code);
  answering.open();

  expect(answer).toEqual({ code: 'VERIFIED' });
  expect(await Promise.all(inFlight)).toMatchObject(Array(45).fill(notAuthenticated));
});

const html = { 'content-type': 'text/html' };

test.for([
  ['refuses them', undefined, 'UNAUTHENTICATED'],
  ['is unavailable', unavailable, 'UPSTREAM_UNAVAILABLE'],
  ['does not answer', { reset: true }, 'UPSTREAM_UNAVAILABLE'],
  ['is behind a firewall that answers 400', { answer: { status: 400, headers: html } }, 'UPSTREAM_MISCONFIGURED'],
  ['is behind a firewall that answers 403', { answer: { status: 403, headers: html } }, 'UPSTREAM_ERROR'],
] as const)(
  'does not count guesses with forged tokens against others if ZITADEL %s',
  async ([, misbehaviour, code]) => {
    stopClock();
    await using stage = await openWithCode();
    const { verify, zitadel } = stage;
    if (misbehaviour) zitadel.misbehaveWhenWriting(...Array.from({ length: 50 }, () => misbehaviour));

    for (const headers of forged(50)) expect(await verify(headers)).toMatchObject({ code });

    expect(stage.rpcs()).toEqual(Array(50).fill('VerifyPhone'));
    for (const attemptsLeft of [4, 3, 2, 1, 0]) {
      expect(await verify(stranger)).toMatchObject({ ...wrong, attemptsLeft });
    }
    expect(await verify(another)).toEqual(limited(3_600));
    expect(await verify(self, stage.code)).toEqual({ code: 'VERIFIED' });
  },
);

test('checks whether the caller may read the user only once strangers have used up their guesses', async () => {
  stopClock();
  await using stage = await openWithCode();
  const { verify, rpcs, zitadel } = stage;
  const four = strangers.slice(0, 4);
  for (const headers of four) expect(await verify(headers)).toMatchObject(wrong);
  // Each wrong code is explained with a read.
  expect(rpcs()).toEqual(four.flatMap(() => ['VerifyPhone', 'GetUserByID']));

  zitadel.calls.length = 0;
  expect(await verify(self, stage.code)).toEqual({ code: 'VERIFIED' });
  expect(rpcs()).toEqual(['VerifyPhone']);

  zitadel.calls.length = 0;
  expect(await verify(stranger)).toMatchObject(wrong);
  expect(await verify(self)).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'ALREADY_VERIFIED' });
  expect(rpcs()).toEqual([
    ...['VerifyPhone', 'GetUserByID'],
    // The read before the code, the code, and the read that explains the refusal.
    ...['GetUserByID', 'VerifyPhone', 'GetUserByID'],
  ]);
  expect(zitadel.calls.slice(2).map(({ headers }) => headers.authorization)).toEqual(Array(3).fill(self.authorization));
});

test('does not check whether a caller without attempts may read the user', async () => {
  stopClock();
  await using stage = await openWithCode('1/10m');
  await stage.useUpStrangersGuesses();
  expect(await stage.verify(self)).toMatchObject(wrong);
  stage.zitadel.calls.length = 0;

  for (let times = 0; times < 10; times += 1) expect(await stage.verify(self)).toEqual(limited(600));

  expect(stage.rpcs()).toEqual([]);
});

test('passes five of 50 simultaneous wrong codes by the user to ZITADEL, even if strangers have used up their guesses', async () => {
  await using stage = await openWithCode();
  await stage.useUpStrangersGuesses();

  const answers = await allAtOnce(stage.zitadel, numbersTo(50), { reaching: 5 }, () => stage.verify(self));

  expect(answers.filter(({ code }) => code === wrong.code)).toHaveLength(5);
  expect(answers.filter(({ code }) => code !== wrong.code)).toEqual(Array(45).fill(inProgress));
  expect(await stage.verify(self, stage.code)).toMatchObject(refused);
  expect(stage.zitadel.writes).toHaveLength(5);
});

test.for([
  ['is a member who may not read the user', bearer(tokens.guest.token), []],
  ['is no member', bearer(tokens.outsider.token), []],
  ['cannot see the user', manager, [missing]],
] as const)('treats as a stranger a caller who %s', async ([, headers, reads]) => {
  const clock = stopClock();
  await using stage = await openWithCode();
  await stage.useUpStrangersGuesses();
  clock.move(600);
  stage.zitadel.misbehave(...reads);

  expect(await stage.verify(headers, stage.code)).toEqual(limited(3_000));

  expect(stage.rpcs()).toEqual(['GetUserByID']);
});

test.for([
  ['is unavailable', self, [unavailable, unavailable], { code: 'UPSTREAM_UNAVAILABLE', reason: 'SAYS_UNAVAILABLE' }],
  ['breaks', self, [{ reset: true }, { reset: true }], { code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST' }],
  ['fails', self, [answered({ code: 13 }, 500)], { code: 'UPSTREAM_ERROR' }],
  ['is blocked by a firewall', self, [{ answer: { status: 403, headers: html } }], { code: 'UPSTREAM_ERROR' }],
  ['shows that the token is forged', bearer('forged'), [], notAuthenticated],
] as const)('tries no code if the read before it %s', async ([, headers, reads, extensions]) => {
  await using stage = await openWithCode('1/10m');
  const { verify, zitadel } = stage;
  await stage.useUpStrangersGuesses();

  // Failed reads do not count, so any number of them changes nothing.
  for (let times = 0; times < 30; times += 1) {
    zitadel.misbehave(...reads);
    expect(await verify(headers, stage.code)).toMatchObject({ ...extensions, outcome: 'NOT_DONE' });
  }

  expect(new Set(stage.rpcs())).toEqual(new Set(['GetUserByID']));
  expect(await verify(self, stage.code)).toEqual({ code: 'VERIFIED' });
});

test.for([
  ['is not answered in time', 10_000, ['GetUserByID']],
  ['takes more than half of the time', 5_000, ['GetUserByID']],
  ['takes less than half of the time', 4_999, ['GetUserByID', 'VerifyPhone']],
] as const)('tries no code too late: the read before it %s', async ([, ms, rpcs]) => {
  stopClock();
  await using stage = await openWithCode('1/10m');
  const { verify, zitadel } = stage;
  await stage.useUpStrangersGuesses();
  const reading = gate();
  zitadel.misbehave({ hold: reading.opened });
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
  onTestFinished(() => void vi.useRealTimers());

  const answer = verify(self, stage.code);
  await zitadel.called(1);
  vi.advanceTimersByTime(ms);
  if (ms < 10_000) reading.open();

  const tooLate = { code: 'UPSTREAM_TIMEOUT', outcome: 'NOT_DONE' };
  expect(await answer).toEqual(rpcs.length === 1 ? tooLate : { code: 'VERIFIED' });
  expect(stage.rpcs()).toEqual(rpcs);
  reading.open();
  vi.useRealTimers();
  // Nothing stays reserved.
  if (rpcs.length === 1) expect(await verify(self, stage.code)).toEqual({ code: 'VERIFIED' });
});

test('reports what all strangers together have left, and to a caller who may read the user, what they have left themselves', async () => {
  stopClock();
  await using stage = await openWithCode();
  const { verify } = stage;

  expect(await verify(stranger)).toMatchObject({ ...wrong, attemptsLeft: 4 });
  expect(await verify(another)).toMatchObject({ ...wrong, attemptsLeft: 3 });
  expect(await verify(self)).toMatchObject({ ...wrong, attemptsLeft: 4 });
  // If the explaining read fails, they may be a stranger.
  stage.zitadel.misbehave({ hold: Promise.resolve() }, answered({ code: 13 }, 500));
  expect(await verify(self)).toMatchObject({ ...wrong, attemptsLeft: 1 });
  expect(await verify(another)).toMatchObject({ ...wrong, attemptsLeft: 0 });
  expect(await verify(another)).toEqual(limited(3_600));
  // The read before the code shows that they are no stranger.
  expect(await verify(self)).toMatchObject({ ...wrong, attemptsLeft: 2 });
  expect(await verify(manager)).toMatchObject({ ...wrong, attemptsLeft: 4 });
});

test('reports what all callers together have left, if that is less', async () => {
  stopClock();
  await using stage = await openWithCode('20/10m');
  const { verify } = stage;
  const [first = {}, second = {}] = readers;
  for (let times = 0; times < 20; times += 1) expect(await verify(first)).toMatchObject(wrong);

  for (const attemptsLeft of [4, 3, 2, 1, 0]) expect(await verify(second)).toMatchObject({ ...wrong, attemptsLeft });

  expect(await verify(second)).toEqual(limited(3_600));
});

test('counts a guess of unknown outcome by a stranger for a minute, and then allows no extra guess', async () => {
  const clock = stopClock();
  await using stage = await openWithCode();
  const { verify, zitadel } = stage;
  const [, , ...three] = strangers.slice(0, 5);
  // ZITADEL must have accepted a token before its guesses of unknown outcome count for others.
  for (const headers of three) await verify(headers, 'S3CR3T', users.phoneless.userId);
  for (const headers of [stranger, another]) expect(await verify(headers)).toMatchObject(wrong);
  zitadel.misbehaveWhenWriting(unavailable, unavailable, unavailable);
  for (const headers of three) expect(await verify(headers)).toMatchObject({ outcome: 'UNKNOWN' });
  zitadel.calls.length = 0;

  const [last = {}] = strangers.slice(-1);
  expect(await verify(last)).toEqual(limited(60));
  clock.move(59.999);
  expect(await verify(last)).toEqual(limited(1));
  expect(zitadel.writes).toEqual([]);
  clock.move(0.001);
  for (const attemptsLeft of [2, 1, 0]) expect(await verify(last)).toMatchObject({ ...wrong, attemptsLeft });
  expect(await verify(stranger)).toEqual(limited(3_540));
  expect(zitadel.writes).toHaveLength(3);
});

test('counts a guess of unknown outcome by any caller for a minute, and then allows no extra guess', async () => {
  const clock = stopClock();
  await using stage = await openWithCode('25/1h');
  const { verify, zitadel } = stage;
  const [first = {}, second = {}] = readers;
  for (let times = 0; times < 20; times += 1) expect(await verify(first)).toMatchObject(wrong);
  zitadel.misbehaveWhenWriting(...Array.from({ length: 5 }, () => unavailable));
  for (let times = 0; times < 5; times += 1) expect(await verify(first)).toMatchObject({ outcome: 'UNKNOWN' });
  expect(await verify(second)).toEqual(limited(60));

  clock.move(60);
  for (const attemptsLeft of [4, 3, 2, 1, 0]) expect(await verify(second)).toMatchObject({ ...wrong, attemptsLeft });
  expect(await verify(second)).toEqual(limited(3_540));
  expect(zitadel.writes).toHaveLength(30);
});
