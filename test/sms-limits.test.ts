import pLimit from 'p-limit';
import { expect, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { allAtOnce, numbersTo } from './support/at-once.js';
import { stopClock } from './support/clock.js';
import { crowd, moreTokens } from './support/crowd.js';
import { gate } from './support/gate.js';
import { limited, openLine, tally } from './support/line.js';
import { bearer, extensionsOf, manager, openStage, post, unverified, type GraphQLAnswer } from './support/stage.js';
import { answered } from './support/zitadel.js';

const self = bearer(tokens.self.token);

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
  expect(stage.zitadel.writes).toHaveLength(1);

  clock.move(0.001);
  expect((await stage.resend()).errors).toBeUndefined();
  expect(stage.zitadel.outbox).toHaveLength(2);
});

test('sends 5 SMS in 10 minutes and 20 in 24 hours, and reports when all limits allow another', async () => {
  const clock = stopClock();
  await using stage = await openStage(defaults);
  const began = Date.now();
  const at = (seconds: number) => new Date(began + seconds * 1000).toISOString();

  for (let times = 1; times <= 20; times += 1) {
    const sent = await stage.resend();
    expect(sent.errors).toBeUndefined();
    // Here every fifth SMS has to wait until the one five before it is ten minutes old. The twentieth uses up the day.
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
  const query = `mutation ($userId: ID!, $number: PhoneNumber!, $mode: SetPhoneMode!) {
    setContactPhone(userId: $userId, number: $number, mode: $mode) { resendAvailableAt }
  }`;
  const set = (number: string, mode: string, userId: string = unverified) =>
    post<{ setContactPhone: { resendAvailableAt: string | null } | null }>(
      stage.graphql,
      { query, variables: { userId, number, mode } },
      manager,
    );

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
  // Each user has their own limit.
  const other = await set('+41795550103', 'SEND_CODE', users.phoneless.userId);
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

test('in any ten minutes sends at most 5 SMS, even at the worst moments', async () => {
  const clock = stopClock();
  await using stage = await openStage(defaults);
  let now = 0;
  const sendAt = async (seconds: number) => {
    clock.move(seconds - now);
    now = seconds;
    return extensionsOf(await stage.resend());
  };

  // A fixed window that starts with its first SMS would allow four at its end, and five more right after it.
  for (const seconds of [0, 480, 510, 540, 570]) expect(await sendAt(seconds)).toBeUndefined();
  expect(await sendAt(599)).toEqual(limited(1));
  expect(await sendAt(600)).toBeUndefined();
  for (const seconds of [630, 660, 690]) expect(await sendAt(seconds)).toEqual(limited(1_080 - seconds));

  // Trying all the time gives no more either.
  const sent: number[] = [];
  for (let seconds = 700; seconds < 5_000; seconds += 29) if (!(await sendAt(seconds))) sent.push(seconds);
  for (const [index, seconds] of sent.entries())
    expect(sent.slice(index).filter((later) => later < seconds + 600).length).toBeLessThanOrEqual(5);
  expect(stage.zitadel.outbox).toHaveLength(20);
});

test('sends exactly one SMS for 300 simultaneous resends with tokens of members and of the user', async () => {
  const members = moreTokens(150, { may: ['user.read', 'user.write'] });
  const ofUser = moreTokens(150, { userId: unverified });
  await using line = await openLine({}, { moreTokens: [...members, ...ofUser] });

  const answers = await allAtOnce(
    line.zitadel,
    members.flatMap((member, index) => [member, ofUser[index] ?? member]),
    { reaching: 1, waiting: 8 },
    line.resendAs,
  );

  expect(tally(answers)).toEqual({ sent: 1, 'SMS_TO_USER 30': 8, 'IN_PROGRESS 1': 291 });
  expect(line.zitadel.writes).toHaveLength(1);
  expect(line.zitadel.outbox).toHaveLength(1);
});

test('sends exactly one SMS for 50 simultaneous resends by one caller', async () => {
  await using line = await openLine();

  const answers = await allAtOnce(line.zitadel, numbersTo(50), { reaching: 1, waiting: 1 }, () => line.resend());

  expect(tally(answers)).toEqual({ sent: 1, 'SMS_TO_USER 30': 1, 'IN_PROGRESS 1': 48 });
  expect(line.zitadel.outbox).toHaveLength(1);
});

test('counts a call for as long as it is in flight, and its SMS from when it ended', async () => {
  await using line = await openLine({ SMS_LIMITS: '1/7s,5/10m' });
  const [writing] = line.holdWrites(1);

  const first = line.resend();
  await line.zitadel.written(1);
  // Longer than the limit's seven seconds, but a call may take five minutes here.
  line.clock.move(299);
  const second = line.resend({}, self);
  await line.waiting(1);
  writing?.open();

  expect(availableAt(await first)).toBe(line.clock.in(7));
  expect(extensionsOf(await second)).toEqual(limited(7));
  line.clock.move(7);
  expect((await line.resend({}, self)).errors).toBeUndefined();
});

test('lets two callers send at the same moment if the limit allows both, and counts both', async () => {
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

test.for([
  ['a broken connection', { reset: true }, 'CONNECTION_LOST'],
  ['an answer that says so', answered({}, 503), 'SAYS_UNAVAILABLE'],
] as const)('counts an SMS of unknown outcome, for all callers: %s', async ([, misbehaviour, reason]) => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: '1/30s,3/10m' });
  const unknown = async () => {
    stage.zitadel.misbehaveWhenWriting(misbehaviour);
    return extensionsOf(await stage.resend());
  };

  expect(await unknown()).toMatchObject([{ code: 'UPSTREAM_UNAVAILABLE', reason, outcome: 'UNKNOWN' }]);
  for (const headers of [manager, self]) expect(extensionsOf(await stage.resend({}, headers))).toEqual(limited(30));
  clock.move(30);
  expect(await unknown()).toMatchObject([{ outcome: 'UNKNOWN' }]);
  clock.move(30);
  const sent = await stage.resend({}, self);
  expect(availableAt(sent)).toBe(clock.in(540));
  for (const headers of [manager, self]) expect(extensionsOf(await stage.resend({}, headers))).toEqual(limited(540));
  expect(stage.zitadel.writes).toHaveLength(3);
});

test('refuses waiting callers with the exact time if the outcome of the call in flight is unknown', async () => {
  await using line = await openLine();
  const writing = gate();
  line.zitadel.misbehaveWhenWriting({ hold: writing.opened, reset: true });
  const caller = line.resend();
  await line.zitadel.written(1);

  const waiting = line.resend({}, self);
  await line.waiting(1);
  writing.open();

  expect(extensionsOf(await caller)).toMatchObject([{ outcome: 'UNKNOWN' }]);
  expect(extensionsOf(await waiting)).toEqual(limited(30));
});

test('a flood of forged tokens uses up no SMS, and no place in line', async () => {
  const others = moreTokens(8, { may: ['user.read', 'user.write'] });
  await using line = await openLine({}, { moreTokens: others });
  const connections = 64;
  const flooded = gate();
  line.zitadel.misbehave(...Array.from({ length: connections }, () => ({ hold: flooded.opened })));
  const [writing] = line.holdWrites(1);

  // They use up the connections for reads, but not the queue for them.
  const atOnce = pLimit(250);
  const flood = Array.from({ length: 1_000 }, (_, index) =>
    atOnce(() => line.resend({}, bearer(`forged-${String(index).padStart(5, '0')}`))),
  );
  await line.zitadel.called(connections);
  const own = line.resend({}, self);
  flooded.open();
  await line.zitadel.written(1);
  const waiting = others.map((other) => line.resendAs(other));
  await line.waiting(8);
  for (const answer of flood) {
    expect(extensionsOf(await answer)).toMatchObject([{ reason: 'TOKEN_REFUSED', outcome: 'NOT_DONE' }]);
  }
  await line.waiting(8);
  writing?.open();

  expect((await own).errors).toBeUndefined();
  for (const answer of waiting) expect(extensionsOf(await answer)).toEqual(limited(30));
  line.clock.move(30);
  expect((await line.resend({}, self)).errors).toBeUndefined();
  expect(line.zitadel.writes).toHaveLength(2);
  expect(line.zitadel.outbox).toHaveLength(2);
});

test('sends no more SMS to all users together than the budget allows', async () => {
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
  expect([first.errors, second.errors]).toEqual([undefined, undefined]);
  // It shows only the limits per user, and there are none.
  expect(availableAt(first)).toBeNull();
  // An SMS counts for an hour after its bucket, a minute here. These came at the start of theirs, so they count for 61 minutes.
  expect(extensionsOf(await stage.resend())).toEqual(limited(3_600, 'SMS_BUDGET'));
  expect(extensionsOf(await stage.resend({}, self))).toEqual(limited(3_600, 'SMS_BUDGET'));
  expect(stage.zitadel.writes).toHaveLength(4);

  clock.move(3_600);
  // The two SMS of the first bucket stop counting together.
  for (const expected of [undefined, undefined, limited(60, 'SMS_BUDGET')])
    expect(extensionsOf(await stage.resend())).toEqual(expected);
  expect(warningsOf(stage.lines)).toEqual([
    'SMS_BUDGET is used up: no SMS will be sent to anyone for a while',
    'SMS_BUDGET is used up: no SMS will be sent to anyone for a while',
  ]);
});

const warningsOf = (lines: readonly string[]) =>
  lines
    .map((line) => JSON.parse(line) as { level: string; msg: string })
    .filter(({ level, msg }) => level === 'warn' && msg.includes('SMS_BUDGET'))
    .map(({ msg }) => msg);

test('sends 300 users at once exactly as many SMS as the budget allows', async () => {
  const people = crowd(300).map((person) => ({ ...person, phone: { ...person.phone, isVerified: false } }));
  await using line = await openLine({ SMS_BUDGET: '10/1h' }, { moreUsers: people });
  const resend = ({ userId }: { userId: string }) => line.resend({ userId });

  const answers = await allAtOnce(line.zitadel, people, { reaching: 10 }, resend);

  expect(tally(answers)).toEqual({ sent: 10, 'IN_PROGRESS 1': 290 });
  expect(warningsOf(line.lines)).toEqual([]);

  const unsent = people.filter(({ userId }) => line.zitadel.outbox.every((sms) => sms.userId !== userId));
  const again = await Promise.all(unsent.map(resend));
  expect(tally(again)).toEqual({ 'SMS_BUDGET 3660': 290 });
  expect(line.zitadel.writes).toHaveLength(10);
  expect(warningsOf(line.lines)).toHaveLength(1);
});

test('also counts the SMS to each country that has its own budget', async () => {
  await using stage = await openStage({ SMS_LIMITS: 'off', SMS_BUDGET: '9/1h,CH:2/1h' });
  const { userId } = users.phoneless;
  const set = async (number: string) =>
    extensionsOf(await stage.run('set-contact-phone', { userId, number }))?.[0]?.reason;
  const swiss = (index: number) => `+4179555010${index}`;
  const german = (index: number) => `+491511234567${index}`;

  for (const number of [swiss(1), swiss(2), german(1)]) expect(await set(number)).toBeUndefined();
  expect(await set(swiss(3))).toBe('SMS_BUDGET');
  expect((await stage.resend()).errors).toMatchObject([{ extensions: { reason: 'SMS_BUDGET' } }]);
  for (const index of [2, 3, 4, 5, 6, 7]) expect(await set(german(index))).toBeUndefined();
  for (const number of [german(8), swiss(3)]) expect(await set(number)).toBe('SMS_BUDGET');

  expect(stage.zitadel.outbox).toHaveLength(9);
  expect(warningsOf(stage.lines)).toEqual([
    'SMS_BUDGET is used up: no SMS will be sent to numbers of CH for a while',
    'SMS_BUDGET is used up: no SMS will be sent to anyone for a while',
  ]);
});

test('stays within the budget in any ten minutes, and counts each SMS at most a sixtieth of that too long', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: 'off', SMS_BUDGET: '5/10m' });
  const [budget, sixtieth, step] = [600, 10, 3];

  const sent: number[] = [];
  // The first bucket gets one SMS, at its end. The second one gets several, from its start.
  clock.move(8);
  for (let now = 0; now < 3 * budget; now += step) {
    if (!(await stage.resend()).errors) sent.push(now);
    clock.move(step);
  }

  const returned = sent.slice(5).map((now, index) => now - (sent[index] ?? 0));
  expect(returned.length).toBeGreaterThanOrEqual(5);
  expect(Math.min(...returned)).toBeGreaterThanOrEqual(budget);
  expect(Math.max(...returned)).toBeLessThan(budget + sixtieth + step);
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

test('applies the budget besides the limits per user, and an SMS that it refuses does not count for the user', async () => {
  const clock = stopClock();
  await using stage = await openStage({ ...defaults, SMS_BUDGET: '1/10s' });

  const sent = await stage.resend();
  expect(availableAt(sent)).toBe(clock.in(30));
  const other = { userId: users.phoneless.userId, number: '+41795550103' };
  expect(extensionsOf(await stage.run('set-contact-phone', other))).toEqual(limited(11, 'SMS_BUDGET'));
  clock.move(11);
  expect((await stage.run('set-contact-phone', other)).errors).toBeUndefined();
});

test('limits nothing if turned off', async () => {
  await using stage = await openStage({ SMS_LIMITS: 'off' });

  const answers = await Promise.all(Array.from({ length: 25 }, () => stage.resend()));

  expect(answers.map(({ errors }) => errors).filter(Boolean)).toEqual([]);
  expect(answers.map(availableAt)).toEqual(answers.map(() => null));
  expect(stage.zitadel.outbox).toHaveLength(25);
});

test('checks the limit for each mutation of one document', async () => {
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
  expect(stage.zitadel.outbox).toHaveLength(2);
});
