import { describe, expect, test } from 'vitest';
import { tokens, users, type EmbeddedToken } from '../src/embedded-zitadel/population.js';
import { holdTimers, stopClock } from './support/clock.js';
import { moreTokens } from './support/crowd.js';
import { gate } from './support/gate.js';
import { hasRedis } from './support/has-redis.js';
import { errorsOf, guessesOf, reasonsOf, refusedFor, set, verify } from './support/limited.js';
import { allAtOnce, numbersTo } from './support/at-once.js';
import { bearer, manager, post, unverified } from './support/stage.js';
import { openTwo, within } from './support/two-servers.js';
import { until } from './support/until.js';
import { answered } from './support/zitadel.js';

const self = bearer(tokens.self.token);

describe.runIf(hasRedis)('two servers with one Redis', () => {
  test('share the counts of SMS that were or may have been sent, of wrong codes, and of the budget', async () => {
    await using two = await openTwo({ SMS_LIMITS: '2/10m', SMS_BUDGET: '3/1h', VERIFY_LIMIT: '3/10m' });
    const { one, other, zitadel } = two;
    zitadel.misbehaveWhenWriting({ reset: true });

    expect((await one.resend()).errors).toMatchObject([{ extensions: { outcome: 'UNKNOWN' } }]);
    expect((await other.resend({}, self)).errors).toBeUndefined();
    for (const server of [one, other])
      for (const headers of [manager, self]) {
        const { errors } = await server.resend({}, headers);
        expect(errors).toMatchObject([{ extensions: { ...refusedFor('SMS_TO_USER'), retryAfter: within(600) } }]);
      }
    expect((await set(one.url, users.phoneless.userId, '+41795550103')).errors).toBeUndefined();
    const { errors } = await set(other.url, users.verified.userId, '+41795550104');
    expect(errors).toMatchObject([{ extensions: { ...refusedFor('SMS_BUDGET'), retryAfter: within(3_660) } }]);
    expect(zitadel.outbox).toHaveLength(3);

    const guesses = await allAtOnce(zitadel, numbersTo(40), { reaching: 3 }, (index) =>
      verify((index % 2 ? one : other).url),
    );
    expect(guessesOf(zitadel)).toHaveLength(3);
    expect(reasonsOf(guesses.slice(0, 37))).toEqual(['IN_PROGRESS']);
    for (const server of [one, other])
      expect((await verify(server.url)).errors).toMatchObject([{ extensions: refusedFor('WRONG_CODES') }]);
  });

  test.for([
    ['ZITADEL accepts', {}, 'SMS_TO_USER'],
    ['ZITADEL refuses', answered({ code: 9 }, 400), undefined],
  ] as const)('let a caller of one wait for a call of the other, which %s', async ([, misbehaviour, reason]) => {
    await using two = await openTwo();
    const { redis, one, other, zitadel } = two;
    const answering = gate();
    zitadel.misbehaveWhenWriting({ hold: answering.opened, ...misbehaviour });

    const inFlight = one.resend();
    await zitadel.written(1);
    const { evalsha: asked } = await redis.commandCounts();
    const waiting = other.resend({}, self);
    // It polls Redis.
    await until(async () => (await redis.commandCounts()).evalsha > asked + 2);
    expect(zitadel.writes).toHaveLength(1);
    answering.open();

    expect(errorsOf([await inFlight])).toHaveLength(reason ? 0 : 1);
    const { errors, data } = await waiting;
    if (reason) expect(errors).toMatchObject([{ extensions: { ...refusedFor(reason), retryAfter: within(600) } }]);
    else expect(data?.resendContactPhoneCode).toBeTruthy();
    expect(zitadel.outbox).toHaveLength(1);
  });

  test('let a reader who waits for the other give way to the owner', async () => {
    stopClock();
    const [reader, owner] = [
      ...moreTokens(1, { may: ['user.read'] }),
      ...moreTokens(1, { userId: unverified, isJwt: true }),
    ] as [EmbeddedToken, EmbeddedToken];
    await using two = await openTwo({}, { moreTokens: [reader, owner] });
    const { redis, one, other, zitadel } = two;
    const answering = gate();
    zitadel.misbehaveWhenWriting({ hold: answering.opened, ...answered({ code: 9 }, 400) });
    const timers = holdTimers(2_000);

    const inFlight = one.resend();
    await zitadel.written(1);
    const { evalsha: asked } = await redis.commandCounts();
    const ofReader = other.resend({}, bearer(reader.token));
    await until(async () => (await redis.commandCounts()).evalsha > asked + 2);
    const ofOwner = other.resend({}, bearer(owner.token));
    // The clock is stopped, so their time is not up.
    expect((await ofReader).errors).toMatchObject([{ extensions: refusedFor('IN_PROGRESS') }]);
    await timers.held(0);
    answering.open();

    expect((await inFlight).errors).toMatchObject([{ extensions: { outcome: 'NOT_DONE' } }]);
    expect((await ofOwner).errors).toBeUndefined();
    expect(zitadel.writes).toHaveLength(2);
  });

  test('let nobody wait for more than two seconds, however long Redis takes to answer', async () => {
    const clock = stopClock();
    await using two = await openTwo();
    const { redis, one, other, zitadel } = two;
    const answering = gate();
    zitadel.misbehaveWhenWriting({ hold: answering.opened });
    const timesAsked = async () => (await redis.commandCounts()).evalsha;

    const inFlight = one.resend();
    await zitadel.written(1);
    const before = await timesAsked();
    const waiting = other.resend({}, self);
    await until(async () => (await timesAsked()) > before + 2);
    clock.move(2);
    const soFar = await timesAsked();

    expect((await waiting).errors).toMatchObject([{ extensions: { ...refusedFor('IN_PROGRESS'), retryAfter: 1 } }]);
    // Waiting for as long as the pauses between the questions add up to two seconds would take a hundred more.
    expect((await timesAsked()) - soFar).toBeLessThan(50);
    answering.open();
    expect((await inFlight).errors).toBeUndefined();
  });

  test('show when the user may get the next SMS, whichever of them sent the last one', async () => {
    await using two = await openTwo();
    const { redis, one, other } = two;
    const query = '{ contactPhone(userId: "301000000000000101") { resendAvailableAt } }';
    const opensAt = async () => {
      const { data } = await post<{ contactPhone: { resendAvailableAt: string | null } }>(
        other.graphql,
        { query },
        manager,
      );
      return data?.contactPhone.resendAvailableAt;
    };

    expect(await opensAt()).toBeNull();
    await one.resend();
    const askedAt = Date.now();
    const shown = Date.parse((await opensAt()) ?? '') - 600_000;
    const sentAt = Number(await redis.get(`{contact-phone}:user:${unverified}`));
    // Never too early, and too late only by the time that Redis took to answer.
    expect(shown).toBeGreaterThanOrEqual(sentAt);
    expect(shown).toBeLessThanOrEqual(sentAt + Date.now() - askedAt);
  });

  test('know the first user of a number in both, whichever of them sent the first SMS', async () => {
    const clock = stopClock();
    const limits = { SMS_LIMITS: '9/1h', SMS_LIMITS_PER_NUMBER: '1/30s,3/1h' };
    await using two = await openTwo({ ...limits, PHONE_HASH_KEY: 'S3CR3T-for-phone-numbers' });
    const { redis, one, other, zitadel } = two;
    const number = '+41795550103';
    const later = async () => {
      clock.move(30);
      await redis.age(30);
    };

    expect((await set(one.url, unverified, number)).errors).toBeUndefined();
    for (const { userId } of [users.phoneless, users.verified]) {
      await later();
      expect((await set(other.url, userId, number)).errors).toBeUndefined();
    }
    for (let times = 0; times < 3; times += 1) {
      await later();
      expect((await other.resend()).errors).toBeUndefined();
    }

    await later();
    const { errors } = await other.resend({ userId: users.phoneless.userId });
    expect(errors).toMatchObject([{ extensions: refusedFor('SMS_TO_NUMBER') }]);
    expect(zitadel.outbox).toHaveLength(6);
  });

  test.for(['SEND_CODE', 'RETURN_CODE'])(
    'let a caller who requested a new code try codes again at both: %s',
    async (mode) => {
      await using two = await openTwo({ SMS_LIMITS: '9/10m', VERIFY_LIMIT: '2/10m' });
      const { one, other, zitadel } = two;
      await one.resend();
      for (const code of ['INVALID_VERIFICATION_CODE', 'INVALID_VERIFICATION_CODE', 'RATE_LIMITED'])
        expect((await verify(other.url)).errors).toMatchObject([{ extensions: { code } }]);

      expect((await one.resend({ mode })).errors).toBeUndefined();

      expect((await verify(other.url)).errors).toMatchObject([{ extensions: { attemptsLeft: 1 } }]);
      expect((await verify(one.url)).errors).toMatchObject([{ extensions: { attemptsLeft: 0 } }]);
      // A new code clears their guesses only once.
      for (const { url } of [one, other])
        expect((await verify(url)).errors).toMatchObject([{ extensions: refusedFor('WRONG_CODES') }]);
      expect((await one.resend({ mode })).errors).toBeUndefined();
      expect((await verify(other.url, manager, zitadel.pendingCode(unverified))).errors).toBeUndefined();
    },
  );

  test('count an answer that may mean a wrong code for as long as one that does', async () => {
    const clock = stopClock();
    await using two = await openTwo();
    const { redis, one, other, zitadel } = two;
    await one.resend();
    zitadel.calls.length = 0;
    const html = { answer: { status: 400, headers: { 'content-type': 'text/html' }, body: '<html>' } };
    zitadel.misbehave(...Array.from({ length: 60 }, () => html));

    const answers = [];
    for (let times = 0; times < 60; times += 1) answers.push(await verify((times % 2 ? one : other).url));

    expect(errorsOf(answers).map(({ extensions }) => extensions.code)).toEqual([
      ...Array<string>(5).fill('UPSTREAM_MISCONFIGURED'),
      ...Array<string>(55).fill('RATE_LIMITED'),
    ]);
    // Longer than the minute for which an unknown outcome counts.
    clock.move(60);
    await redis.age(60);
    for (const { url } of [one, other]) {
      const { errors } = await verify(url, manager, zitadel.codes[0]);
      expect(errors).toMatchObject([{ extensions: refusedFor('WRONG_CODES') }]);
    }
    expect(zitadel.calls).toHaveLength(5);
  });

  test('lock the right code out for a minute when ZITADEL was unavailable', async () => {
    const clock = stopClock();
    await using two = await openTwo();
    const { redis, one, other, zitadel } = two;
    await one.resend();
    zitadel.calls.length = 0;
    zitadel.misbehave(...Array.from({ length: 5 }, () => answered({ code: 14 }, 503)));
    const right = zitadel.codes[0];

    for (let times = 0; times < 5; times += 1) {
      expect((await verify(one.url, manager, right)).errors).toMatchObject([{ extensions: { outcome: 'UNKNOWN' } }]);
    }
    const refused = { ...refusedFor('WRONG_CODES'), retryAfter: within(60) };
    for (const { url } of [one, other])
      expect((await verify(url, manager, right)).errors).toMatchObject([{ extensions: refused }]);
    expect(zitadel.calls).toHaveLength(5);

    clock.move(60);
    await redis.age(60);
    expect((await verify(one.url, manager, right)).errors).toBeUndefined();
  });

  test('let a caller who requested a new code try codes again at the other, even nine minutes later', async () => {
    const clock = stopClock();
    await using two = await openTwo({ SMS_LIMITS: '9/10m', VERIFY_LIMIT: '2/10m' });
    const { redis, one, other } = two;
    await one.resend();
    for (const code of ['INVALID_VERIFICATION_CODE', 'INVALID_VERIFICATION_CODE', 'RATE_LIMITED'])
      expect((await verify(other.url)).errors).toMatchObject([{ extensions: { code } }]);
    expect((await one.resend()).errors).toBeUndefined();

    clock.move(540);
    await redis.age(540);

    expect((await verify(other.url)).errors).toMatchObject([{ extensions: { attemptsLeft: 1 } }]);
  });
});
