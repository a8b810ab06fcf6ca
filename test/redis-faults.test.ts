import { afterEach, describe, expect, test, vi } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import { crowd } from './support/crowd.js';
import { gate } from './support/gate.js';
import { hasRedis } from './support/has-redis.js';
import { errorsOf, verify } from './support/limited.js';
import { startProcesses } from './support/processes.js';
import { openRedisProxy } from './support/redis-proxy.js';
import { startRedis } from './support/redis.js';
import { openStage, resend, unverified } from './support/stage.js';
import { openTwo, redisAt, redisIs, within } from './support/two-servers.js';
import { until } from './support/until.js';

const refusedFor = (reason: string, retryAfter?: number) => [
  { extensions: { code: 'RATE_LIMITED', reason, outcome: 'NOT_DONE', ...(retryAfter && { retryAfter }) } },
];
const limited = refusedFor('SMS_TO_USER');
const alreadyVerified = [
  { extensions: { code: 'FAILED_PRECONDITION', reason: 'ALREADY_VERIFIED', outcome: 'NOT_DONE' } },
];

type Redis = Awaited<ReturnType<typeof startRedis>>;

/** The times in the history of a user in Redis. */
const timesOf = async (redis: Redis, userId: string) =>
  ((await redis.get(`{contact-phone}:user:${userId}`)) ?? '').split(',').filter(Boolean).map(Number);

const moreUsers = crowd(200).filter(({ phone }) => !phone.isVerified);

afterEach(() => void vi.useRealTimers());

describe.runIf(hasRedis)('when Redis', () => {
  test.for([
    ['is killed', (redis: Redis) => redis.kill(), (redis: Redis) => redis.start()],
    ['is stopped', (redis: Redis) => redis.stop(), (redis: Redis) => redis.start()],
    ['freezes', (redis: Redis) => redis.freeze(), (redis: Redis) => redis.thaw()],
    ['is full', (redis: Redis) => redis.setFull(true), (redis: Redis) => redis.setFull(false)],
    ['is a replica', (redis: Redis) => redis.setReadOnly(true), (redis: Redis) => redis.setReadOnly(false)],
  ] as const)(
    '%s, no request is lost, each server keeps its own limits, and then all share them again',
    async ([, fail, recover]) => {
      await using two = await openTwo({}, { moreUsers });
      const { redis, one, other, zitadel } = two;
      const userIds = moreUsers.map(({ userId }) => userId);
      const next = (count: number) => userIds.splice(0, count);
      /** Resends for this many users through both servers. */
      const run = (count: number) =>
        Promise.all(next(count).map((userId, index) => (index % 2 ? one : other).resend({ userId })));
      const [before = '', during = '', after = ''] = next(3);

      expect((await one.resend({ userId: before })).errors).toBeUndefined();
      expect((await other.resend({ userId: before })).errors).toMatchObject(limited);
      const running = [run(20)];
      const failed = fail(redis);
      running.push(run(20));
      await failed;
      running.push(run(20));
      expect(errorsOf((await Promise.all(running)).flat())).toEqual([]);
      expect(zitadel.outbox).toHaveLength(61);

      await two.both('down');
      // Each server still knows what it has sent itself.
      expect((await one.resend({ userId: before })).errors).toMatchObject(limited);
      expect((await other.resend({ userId: during })).errors).toBeUndefined();
      expect((await other.resend({ userId: during })).errors).toMatchObject(limited);
      expect((await one.resend({ userId: during })).errors).toBeUndefined();

      await recover(redis);
      const recovering = await run(20);
      await two.both('up');
      expect(errorsOf([...recovering, ...(await run(10))])).toEqual([]);
      for (const server of [one, other])
        expect((await server.resend({ userId: during })).errors).toMatchObject(limited);
      expect((await one.resend({ userId: after })).errors).toBeUndefined();
      expect((await other.resend({ userId: after })).errors).toMatchObject(limited);
      expect(zitadel.outbox).toHaveLength(94);

      for (const { lines } of [one, other]) {
        const logged = lines.map((line) => JSON.parse(line) as { level: string; msg: string });
        const levels = logged.filter(({ msg }) => msg.startsWith('Redis')).map(({ level }) => level);
        // On a slow machine, the first attempt to connect may have failed.
        expect(levels.slice(-3)).toEqual(['info', 'warn', 'info']);
      }
    },
  );

  test('is up again, it learns of the SMS and the wrong codes that it has missed', async () => {
    await using two = await openTwo({ SMS_BUDGET: '1000/24h', VERIFY_LIMIT: '1/10m' });
    const { redis, one, other, zitadel } = two;
    await redis.stop();
    await two.both('down');
    // Of two codes, the first is wrong. Its caller may read the user, so they may try another one.
    expect((await verify(one.url)).errors).toMatchObject([{ extensions: { code: 'INVALID_VERIFICATION_CODE' } }]);
    expect((await one.resend()).errors).toBeUndefined();
    expect((await one.resend({ userId: users.verified.userId })).errors).toMatchObject(alreadyVerified);

    await redis.start();
    await two.both('up');
    await until(async () => (await timesOf(redis, unverified)).length > 0);

    expect((await other.resend()).errors).toMatchObject(refusedFor('SMS_TO_USER', within(600)));
    expect(zitadel.outbox).toHaveLength(1);
    const endsInMs = Object.fromEntries(await redis.keys())[`{contact-phone}:user:${unverified}`] ?? 0;
    expect(endsInMs).toBeGreaterThan(0);
    expect(endsInMs).toBeLessThanOrEqual(600_000 + 11_000);
    // It learns of each only once.
    expect(await timesOf(redis, unverified)).toHaveLength(1);
  });

  test('is frozen, one request waits for it once, and those that are refused do not wait', async () => {
    await using two = await openTwo({ ZITADEL_TIMEOUT_MS: '300000' });
    const { redis, one } = two;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });

    redis.freeze();
    const sent = one.resend();
    await one.zitadel.called(1);
    await until(async () => {
      vi.advanceTimersByTime(10);
      return (await redisAt(one.url)) === 'down';
    });

    // From here on time stands still, so nothing that waits would be answered.
    expect((await sent).errors).toBeUndefined();
    expect((await one.resend()).errors).toMatchObject(limited);
    expect((await one.resend({ userId: users.verified.userId })).errors).toMatchObject(alreadyVerified);
    expect(one.zitadel.outbox).toHaveLength(1);
  });

  test('forgets its scripts, all still share the limits', async () => {
    await using two = await openTwo();
    const { redis, one, other } = two;
    await other.resend({ userId: users.verified.userId });

    await redis.flushScripts();

    expect((await one.resend()).errors).toBeUndefined();
    await redis.flushScripts();
    expect((await other.resend()).errors).toMatchObject(limited);
    for (const { lines } of [one, other]) expect(lines.filter((line) => line.includes('Redis is down'))).toEqual([]);
  });

  test('forgets everything, each server keeps its own limits, and counts nothing that Redis had refused', async () => {
    await using two = await openTwo({ SMS_LIMITS: '2/10m', SMS_BUDGET: '9/1h', VERIFY_LIMIT: '1/10m' });
    const { redis, one, other, zitadel } = two;
    const verify = (server: typeof one) =>
      server.run('verify-contact-phone', { userId: unverified, verificationCode: 'S3CR3T' });
    for (let times = 0; times < 2; times += 1) expect((await one.resend()).errors).toBeUndefined();
    const wrong = [{ extensions: { code: 'INVALID_VERIFICATION_CODE' } }];
    expect((await verify(one)).errors).toMatchObject(wrong);
    for (let times = 0; times < 20; times += 1) {
      expect((await other.resend()).errors).toMatchObject(refusedFor('SMS_TO_USER', within(600)));
      expect((await verify(other)).errors).toMatchObject(refusedFor('WRONG_CODES', within(600)));
    }

    await redis.flush();

    expect((await one.resend()).errors).toMatchObject(refusedFor('SMS_TO_USER', within(600)));
    expect((await verify(one)).errors).toMatchObject(refusedFor('WRONG_CODES', within(600)));
    expect((await verify(other)).errors).toMatchObject(wrong);
    for (let times = 0; times < 2; times += 1) expect((await other.resend()).errors).toBeUndefined();
    expect((await other.resend()).errors).toMatchObject(limited);
    expect(zitadel.outbox).toHaveLength(4);
  });

  test.for([
    ['made a reservation, but its answer was lost', 'answers'],
    ['lost the outcome of a call', 'commands'],
  ] as const)('%s, the call counts as if its SMS had been sent at the last moment', async ([, lost]) => {
    await using redis = await startRedis();
    await using proxy = await openRedisProxy(redis.url);
    const env = { SMS_LIMITS: '1/10m', REDIS_URL: redis.url };
    await using one = await openStage({ ...env, REDIS_URL: proxy.url });
    await using other = await openStage({ ...env, ZITADEL_URL: one.zitadel.url });
    const { userId } = users.verified;
    for (const { url } of [one, other]) await redisIs('up', url);
    // Redis must have the scripts before the proxy loses anything.
    expect((await other.resend()).errors).toBeUndefined();
    const refusing = gate();
    one.zitadel.misbehaveWhenWriting({ hold: refusing.opened });
    const began = Date.now();

    // ZITADEL sends no SMS, since the phone is verified.
    if (lost === 'answers') proxy.lose(lost);
    const call = one.resend({ userId });
    await one.zitadel.written(2);
    proxy.lose(lost);
    refusing.open();
    expect((await call).errors).toMatchObject(alreadyVerified);
    expect(await redisAt(one.url)).toBe('down');
    // Only this server knows that nothing was sent.
    expect((await one.resend({ userId })).errors).toMatchObject(alreadyVerified);

    const [latest = 0, ...more] = await timesOf(redis, userId);
    expect([more, latest >= began + 11_000, latest <= Date.now() + 11_000]).toEqual([[], true, true]);
    proxy.lose('nothing');
    await redisIs('up', one.url);
    await redis.age(11);
    for (const server of [one, other]) {
      expect((await server.resend({ userId })).errors).toMatchObject(refusedFor('SMS_TO_USER', within(600)));
    }
    await redis.age(600);
    for (const server of [one, other]) expect((await server.resend({ userId })).errors).toMatchObject(alreadyVerified);
  });
});

test.runIf(hasRedis)('counts the SMS of a process that was killed before ZITADEL answered', async () => {
  await using redis = await startRedis();
  const env = { SMS_LIMITS: '1/10m', SMS_BUDGET: '2/1h', REDIS_URL: redis.url };
  await using other = await openStage(env);
  const { zitadel } = other;
  await redisIs('up', other.url);
  const processes = await startProcesses(zitadel, [env]);
  const answering = gate();
  zitadel.misbehaveWhenWriting({ hold: answering.opened });
  const began = Date.now();

  const call = resend(processes.urlOf(0));
  await zitadel.written(1);
  await Promise.all([processes.kill(0), expect(call).rejects.toThrow()]);
  answering.open();

  const [latest = 0] = await timesOf(redis, unverified);
  expect([latest >= began + 11_000, latest <= Date.now() + 11_000]).toEqual([true, true]);
  await redis.age(11);
  expect((await other.resend()).errors).toMatchObject(refusedFor('SMS_TO_USER', within(600)));
  await redis.age(600);
  expect((await other.resend()).errors).toBeUndefined();
  // That SMS still counts in the budget too.
  const { userId } = users.phoneless;
  const { errors } = await other.run('set-contact-phone', { userId, number: '+41795550103' });
  expect(errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);
  expect(zitadel.outbox).toHaveLength(2);
});
