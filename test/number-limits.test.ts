import { expect, test } from 'vitest';
import { users, type EmbeddedToken } from '../src/embedded-zitadel/population.js';
import { stopClock } from './support/clock.js';
import { crowd, moreTokens } from './support/crowd.js';
import { allAtOnce } from './support/at-once.js';
import { limited, openLine, tally } from './support/line.js';
import { bearer, extensionsOf, openStage, unverified } from './support/stage.js';

// The limits on SMS to one number, whichever users have set it.

const number = '+41795550101';

/** Accounts, each with a token of its own. */
function accounts(count: number) {
  const people = crowd(count);
  const tokens = people.flatMap(({ userId }) => moreTokens(1, { userId }));
  return { people, tokens };
}

/** Sends an SMS to the number as the user of a token: sets the number, or resends if the user has it already. */
function senderOf(stage: Pick<Awaited<ReturnType<typeof openStage>>, 'run' | 'resend'>) {
  const owners = new Set<string>();
  return async ({ userId, token }: EmbeddedToken) => {
    const headers = bearer(token);
    if (owners.has(userId)) return stage.resend({ userId }, headers);
    const answer = await stage.run('set-contact-phone', { userId, number }, headers);
    if (!answer.errors) owners.add(userId);
    return answer;
  };
}

test('sends exactly one SMS to a number that 200 accounts set at once', async () => {
  const { people, tokens } = accounts(200);
  await using line = await openLine({}, { moreUsers: people, moreTokens: tokens });

  const answers = await allAtOnce(line.zitadel, tokens, { reaching: 1, waiting: 8 }, senderOf(line));

  expect(tally(answers)).toEqual({ sent: 1, 'SMS_TO_NUMBER 30': 8, 'IN_PROGRESS 1': 191 });
  expect(line.zitadel.writes).toHaveLength(1);
  expect(line.zitadel.outbox).toHaveLength(1);
});

test('counts every SMS to a number, whichever user and mutation it was for', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: '3/10m' });
  const set = (userId: string, to: string, mode = 'SEND_CODE') =>
    stage.run('set-contact-phone', { userId, number: to, mode });
  const { phoneless, verified } = users;
  const { phone } = users.unverified;

  expect((await stage.resend()).errors).toBeUndefined();
  clock.move(60);
  expect((await set(verified.userId, phone.number)).errors).toBeUndefined();
  for (const mode of ['RETURN_CODE', 'MARK_VERIFIED'])
    expect((await set(phoneless.userId, mode === 'RETURN_CODE' ? phone.number : number, mode)).errors).toBeUndefined();
  expect((await stage.resend({ userId: verified.userId })).errors).toBeUndefined();

  // However the number is formatted. The user themselves has received no SMS, and may receive one at another number.
  expect(extensionsOf(await set(phoneless.userId, '+41 (79) 123-45-67'))).toEqual(limited(540, 'SMS_TO_NUMBER'));
  expect((await set(phoneless.userId, '+41795550102')).errors).toBeUndefined();
  expect(stage.zitadel.outbox).toHaveLength(4);
});

test('the first user of a number gets all 20 SMS of a day while 20 accounts abuse it', async () => {
  const clock = stopClock();
  const { people, tokens } = accounts(21);
  const [victim, ...attackers] = tokens as [EmbeddedToken, ...EmbeddedToken[]];
  await using stage = await openStage({ SMS_LIMITS: '' }, { moreUsers: people, moreTokens: tokens });
  const send = senderOf(stage);
  const sentToVictim = () => stage.zitadel.outbox.filter(({ userId }) => userId === victim.userId).length;
  expect((await send(victim)).errors).toBeUndefined();

  let rounds = 0;
  for (; sentToVictim() < 20; rounds += 1) {
    clock.move(30);
    // Always just before the victim, three at a time.
    for (const index of [0, 1, 2]) await send(attackers[(3 * rounds + index) % 20] ?? victim);
    const [refusal] = extensionsOf(await send(victim)) ?? [];
    // The attackers can delay the victim by the shortest limit only.
    if (refusal?.reason !== 'SMS_TO_USER') expect([undefined, 30]).toContain(refusal?.retryAfter);
  }
  expect(rounds * 30).toBeLessThan(2 * 60 * 60);
  const fourHours = 4 * 60 * 60;
  for (let now = rounds * 30 + fourHours; now < 24 * 60 * 60; now += fourHours) {
    clock.move(fourHours);
    for (const account of tokens) await send(account);
  }

  expect(sentToVictim()).toBe(20);
  expect(stage.zitadel.outbox.length).toBeGreaterThan(20);
  expect(stage.zitadel.outbox.length).toBeLessThanOrEqual(40);
  expect(new Set(stage.zitadel.outbox.map((sms) => sms.number))).toEqual(new Set([number]));
});

test('an attacker who was the first to use a number owns it until a day after their last SMS', async () => {
  const clock = stopClock();
  const { people, tokens } = accounts(5);
  const [attacker, other, victim, helped, next] = tokens as [
    EmbeddedToken,
    EmbeddedToken,
    EmbeddedToken,
    EmbeddedToken,
    EmbeddedToken,
  ];
  const limits = { SMS_LIMITS: '1/30s,3/24h' };
  await using stage = await openStage(limits, { moreUsers: people, moreTokens: tokens });
  const send = senderOf(stage);
  const sendAfter = async (seconds: number, account: EmbeddedToken) => {
    clock.move(seconds);
    return extensionsOf(await send(account));
  };

  for (const account of [attacker, other, other]) expect(await sendAfter(30, account)).toBeUndefined();
  const aDay = 24 * 60 * 60;
  for (const account of [victim, helped])
    expect(await sendAfter(0, account)).toEqual(limited(aDay - 60, 'SMS_TO_NUMBER'));
  for (const expected of [undefined, undefined, limited(aDay - 150)])
    expect(await sendAfter(30, attacker)).toEqual(expected);
  // What helps: someone with user.write delivers the code.
  const returned = await stage.run('set-contact-phone', { userId: helped.userId, number, mode: 'RETURN_CODE' });
  expect(returned.data?.setContactPhone?.verificationCode).toBe(stage.zitadel.pendingCode(helped.userId));

  // The last SMS was 30 seconds ago.
  expect(await sendAfter(aDay - 30, victim)).toBeUndefined();
  for (const account of [next, next]) expect(await sendAfter(30, account)).toBeUndefined();
  expect(await sendAfter(30, attacker)).toEqual(limited(aDay - 90, 'SMS_TO_NUMBER'));
  expect(await sendAfter(30, victim)).toBeUndefined();
});

test.for([
  ['off', 3],
  ['2/1h', 2],
] as const)(
  'applies SMS_LIMITS_PER_NUMBER=%s to numbers, instead of SMS_LIMITS',
  async ([SMS_LIMITS_PER_NUMBER, most]) => {
    const { people, tokens } = accounts(3);
    await using stage = await openStage(
      { SMS_LIMITS: '9/1h', SMS_LIMITS_PER_NUMBER },
      { moreUsers: people, moreTokens: tokens },
    );
    const send = senderOf(stage);

    const answers = [];
    for (const account of tokens) answers.push(await send(account));

    expect(answers.filter(({ errors }) => !errors)).toHaveLength(most);
    expect(stage.zitadel.outbox).toHaveLength(most);
  },
);

test('limits numbers even if users are not limited', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: 'off', SMS_LIMITS_PER_NUMBER: '1/30s' });

  const sent = await stage.resend();

  expect(sent.errors).toBeUndefined();
  // It shows only the limits per user.
  expect(sent.data?.resendContactPhoneCode?.resendAvailableAt).toBeNull();
  expect(extensionsOf(await stage.resend())).toEqual(limited(30, 'SMS_TO_NUMBER'));
  // Each number has its own limit.
  const set = await stage.run('set-contact-phone', { userId: unverified, number });
  expect(set.errors).toBeUndefined();
  clock.move(30);
  expect((await stage.resend()).errors).toBeUndefined();
});
