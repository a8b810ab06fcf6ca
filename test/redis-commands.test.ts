import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { crowd } from './support/crowd.js';
import { gate } from './support/gate.js';
import { hasRedis } from './support/has-redis.js';
import { openRedisProxy } from './support/redis-proxy.js';
import { startRedis } from './support/redis.js';
import { bearer, manager, openStage, post, unverified } from './support/stage.js';
import { redisIs } from './support/two-servers.js';
import { answered } from './support/zitadel.js';

const self = bearer(tokens.self.token);
const { number } = users.unverified.phone;
const hashKey = 'S3CR3T-for-phone-numbers';
const limits = {
  SMS_LIMITS: '5/10m',
  SMS_BUDGET: '1000/1h,CH:500/1h',
  VERIFY_LIMIT: '',
  PHONE_HASH_KEY: hashKey,
};
const limited = (reason: string) => [{ extensions: { code: 'RATE_LIMITED', reason } }];

const listOf = (fields: string) => `query ($representations: [_Any!]!) {
  _entities(representations: $representations) { ... on User { contactPhone { ${fields} } } }
}`;

type Redis = Awaited<ReturnType<typeof startRedis>>;
type Proxy = Awaited<ReturnType<typeof openRedisProxy>>;

/** Counts the scripts and round trips that a call takes. */
const costIn = (redis: Redis, proxy: Proxy) => async (call: () => Promise<unknown>) => {
  const [before, tripsBefore] = [await redis.commandCounts(), proxy.trips()];
  await call();
  const after = await redis.commandCounts();
  return { scripts: after.evalsha + after.eval - before.evalsha - before.eval, trips: proxy.trips() - tripsBefore };
};
const twoTrips = { scripts: 2, trips: 2 };
const oneTrip = { scripts: 1, trips: 1 };
const none = { scripts: 0, trips: 0 };

describe.runIf(hasRedis)('a server with Redis', () => {
  test('needs two scripts and two round trips for an SMS or a guess, and none for what it refuses itself', async () => {
    await using redis = await startRedis();
    await using proxy = await openRedisProxy(redis.url);
    const moreUsers = crowd(120);
    await using stage = await openStage({ ...limits, REDIS_URL: proxy.url }, { moreUsers });
    await redisIs('up', stage.url);
    const { zitadel } = stage;
    const costOf = costIn(redis, proxy);
    const mutate = (field: string, headers = manager) =>
      post(stage.graphql, { query: `mutation { ${field} { user { id } } }` }, headers);
    const set = (userId: string, typed: string) => mutate(`setContactPhone(userId: "${userId}", number: "${typed}")`);
    const verify = (code: string, headers = manager) =>
      mutate(`verifyContactPhone(userId: "${unverified}", verificationCode: "${code}")`, headers);
    const read = (fields: string) => {
      const representations = moreUsers.map(({ userId }) => ({ __typename: 'User', id: userId }));
      return post<{ _entities: unknown[] }>(
        stage.graphql,
        { query: listOf(fields), variables: { representations } },
        manager,
      );
    };
    // Redis gets the source of each script once.
    await stage.resend();
    await read('resendAvailableAt');

    expect(await costOf(() => stage.resend())).toEqual(twoTrips);
    expect(await costOf(() => set(users.phoneless.userId, '+41795550101'))).toEqual(twoTrips);
    zitadel.misbehaveWhenWriting(answered({ code: 7 }, 403), { reset: true });
    expect(await costOf(() => stage.resend())).toEqual(twoTrips);
    expect(await costOf(() => stage.resend())).toEqual(twoTrips);
    expect(await costOf(() => verify('S3CR3T'))).toEqual(twoTrips);
    // A new code clears the caller's guesses.
    expect(await costOf(() => stage.resend({ mode: 'RETURN_CODE' }))).toEqual(oneTrip);
    expect(await costOf(() => verify(zitadel.pendingCode(unverified) ?? ''))).toEqual(twoTrips);
    expect(zitadel.outbox).toHaveLength(4);

    // ZITADEL refuses the read, or the histories of this process are full already.
    expect(await costOf(() => stage.resend({}, bearer(tokens.outsider.token)))).toEqual(none);
    expect(await costOf(() => stage.resend({}, bearer('forged')))).toEqual(none);
    for (const typed of ['+41795550102', '+41795550103', '+41795550104', '+41795550105'])
      await set(users.phoneless.userId, typed);
    expect(await costOf(() => set(users.phoneless.userId, '+41795550106'))).toEqual(none);
    expect(await costOf(() => read('number isVerified'))).toEqual(none);
    // One script for all 120 users.
    expect(await costOf(() => read('number resendAvailableAt'))).toEqual(oneTrip);
  });

  test('looks up `resendAvailableAt` once for each user with a phone, however often the user appears in a request', async () => {
    await using redis = await startRedis();
    await using proxy = await openRedisProxy(redis.url);
    await using stage = await openStage({ ...limits, REDIS_URL: proxy.url });
    await using unlimited = await openStage({ ...limits, SMS_LIMITS: 'off', REDIS_URL: proxy.url });
    for (const { url } of [stage, unlimited]) await redisIs('up', url);
    const costOf = costIn(redis, proxy);
    const read = async (server: typeof stage, ...userIds: string[]) => {
      const representations = userIds.map((id) => ({ __typename: 'User', id }));
      const query = listOf('number resendAvailableAt');
      expect((await post(server.graphql, { query, variables: { representations } }, manager)).status).toBe(200);
    };
    const mentions = () => proxy.sent().split(`:user:${unverified}`).length - 1;
    // Redis gets the source of the script once.
    await read(stage, unverified);
    const before = mentions();

    expect(await costOf(() => read(stage, ...Array<string>(5_000).fill(unverified)))).toEqual(oneTrip);
    expect(mentions()).toBe(before + 1);
    // These have no phone, or none that the caller may read.
    expect(await costOf(() => read(stage, users.phoneless.userId))).toEqual(none);
    expect(await costOf(() => read(stage, users.foreign.userId))).toEqual(none);
    expect(await costOf(() => read(unlimited, unverified))).toEqual(none);
  });

  test('stores no token and no number, and nothing forever', async () => {
    await using redis = await startRedis();
    await using proxy = await openRedisProxy(redis.url);
    await using stage = await openStage({ ...limits, REDIS_URL: proxy.url });
    await redisIs('up', stage.url);
    const { zitadel } = stage;
    const answering = gate();
    zitadel.misbehaveWhenWriting({ reset: true }, { hold: answering.opened });
    const verify = (headers: Record<string, string>) =>
      stage.run('verify-contact-phone', { userId: unverified, verificationCode: 'S3CR3T' }, headers);
    const began = Date.now();

    await stage.resend();
    const inFlight = stage.resend({}, self);
    await zitadel.written(2);
    const whileInFlight = await redis.keys();
    const reserved = await redis.get(`{contact-phone}:user:${unverified}`);
    answering.open();
    await inFlight;
    await verify(self);
    zitadel.misbehave({ reset: true });
    await verify(manager);
    const keys = await redis.keys();
    const ended = Date.now();

    const hashed = createHmac('sha256', hashKey).update(number).digest('base64url');
    // A caller is a hash of 256 bits in Base64.
    const names = keys
      .map(([key]) => key.replace(/:[\w-]{43}:/, ':<caller>:'))
      .filter((key) => !key.endsWith(':probe'));
    expect(names.sort()).toEqual([
      '{contact-phone}:budget:CH',
      '{contact-phone}:budget:all',
      `{contact-phone}:guesses-by-caller-cleared:<caller>:${unverified}`,
      `{contact-phone}:guesses-by-caller:<caller>:${unverified}`,
      `{contact-phone}:guesses-by-caller:<caller>:${unverified}`,
      `{contact-phone}:guesses-by-strangers:${unverified}`,
      `{contact-phone}:guesses:${unverified}`,
      `{contact-phone}:number:${hashed}`,
      `{contact-phone}:user:${unverified}`,
    ]);
    for (const [key, endsInMs] of [...whileInFlight, ...keys]) {
      expect(key).toMatch(/^\{contact-phone\}:/);
      // -1 would mean that the key never expires. None outlives its limit by more than a bucket and the longest call.
      expect(endsInMs).toBeGreaterThanOrEqual(0);
      expect(endsInMs).toBeLessThanOrEqual(3_600_000 + 60_000 + 12_000);
    }
    for (const { token } of Object.values(tokens)) expect(proxy.sent()).not.toContain(token);
    for (const secret of [number, number.slice(1), ...zitadel.codes, hashKey])
      expect(proxy.sent()).not.toContain(secret);

    // The first SMS may have been sent; the second is in flight, so its time is that of its reservation.
    const [sent = 0, latest = 0] = (reserved ?? '').split(',').map(Number);
    expect([began <= sent && sent <= ended, began + 11_000 <= latest && latest <= ended + 11_000]).toEqual([
      true,
      true,
    ]);
    const times = ((await redis.get(`{contact-phone}:user:${unverified}`)) ?? '').split(',').map(Number);
    expect([times[0], times.length]).toEqual([sent, 2]);
    expect(times[1]).toBeLessThanOrEqual(ended);
    expect(await redis.get(`{contact-phone}:number:${hashed}`)).toBe(`${times.join(',')};${unverified}`);
  });

  test('shares nothing with a deployment that has another REDIS_PREFIX, and numbers only if PHONE_HASH_KEY is the same', async () => {
    await using redis = await startRedis();
    const env = { ...limits, SMS_LIMITS: '1/10m', REDIS_URL: redis.url };
    await using one = await openStage({ ...env, REDIS_PREFIX: 'one' });
    const more = (changed: Record<string, string>) =>
      openStage({ ...env, ZITADEL_URL: one.zitadel.url, REDIS_PREFIX: 'one', ...changed });
    await using same = await more({});
    await using otherKey = await more({ PHONE_HASH_KEY: 'another-key-for-numbers' });
    await using otherPrefix = await more({ REDIS_PREFIX: 'other' });
    for (const { url } of [one, same, otherKey, otherPrefix]) await redisIs('up', url);
    const [first, second, third] = [users.phoneless.userId, unverified, users.verified.userId];
    const set = (server: typeof one, userId: string) =>
      server.run('set-contact-phone', { userId, number: '+41795550101' });
    const numberKeys = async () => (await redis.keys()).map(([key]) => key).filter((key) => key.includes(':number:'));

    expect((await set(one, first)).errors).toBeUndefined();
    expect((await set(same, second)).errors).toMatchObject(limited('SMS_TO_NUMBER'));
    expect(await numberKeys()).toHaveLength(1);
    expect((await set(otherKey, first)).errors).toMatchObject(limited('SMS_TO_USER'));
    expect((await set(otherKey, second)).errors).toBeUndefined();
    expect(await numberKeys()).toHaveLength(2);
    expect((await set(otherPrefix, third)).errors).toBeUndefined();
    expect((await set(one, third)).errors).toMatchObject(limited('SMS_TO_NUMBER'));
    const [ofOne, ofOther] = ['one', 'other'].map(async (prefix) =>
      (await numberKeys()).filter((key) => key.startsWith(`{${prefix}}:`)),
    );
    expect(await ofOne).toHaveLength(2);
    expect(await ofOther).toHaveLength(1);
  });
});
