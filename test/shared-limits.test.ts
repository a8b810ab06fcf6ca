import { afterEach, describe, expect, test, vi } from 'vitest';
import type { EmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { fiftyAtOnce } from './support/fifty-at-once.js';
import { startChild } from './support/child.js';
import { stopClock } from './support/clock.js';
import { crowd } from './support/crowd.js';
import { gate } from './support/gate.js';
import { hasRedis } from './support/has-redis.js';
import { listening } from './support/production.js';
import { startRedis } from './support/redis.js';
import {
  bearer,
  leaveForLogTest,
  openStage,
  resend,
  run,
  unverified,
  zitadelApi,
  type GraphQLAnswer,
} from './support/stage.js';
import { until } from './support/until.js';
import { answered } from './support/zitadel.js';

const self = bearer(tokens.self.token);
const refusedFor = (reason: string) => ({ code: 'RATE_LIMITED', reason, outcome: 'NOT_DONE' });
const limited = refusedFor('SMS_TO_USER');

/** Two servers with the same ZITADEL and the same Redis. */
async function openTwo(env: Record<string, string> = {}, options: Parameters<typeof openStage>[1] = {}) {
  const redis = await startRedis();
  const shared = { SMS_LIMITS: '', VERIFY_LIMIT: '', REDIS_URL: redis.url, ...env };
  const one = await openStage(shared, options);
  const other = await openStage({ ...shared, ZITADEL_URL: one.zitadel.url });
  const servers = [one, other] as const;
  return {
    redis,
    one,
    other,
    zitadel: one.zitadel,
    /** Resolves when both report this state of Redis. */
    async both(state: 'up' | 'down') {
      for (const { url } of servers) await until(async () => (await readiness(url)).redis === state);
    },
    async [Symbol.asyncDispose]() {
      await other[Symbol.asyncDispose]();
      await one[Symbol.asyncDispose]();
      await redis[Symbol.asyncDispose]();
    },
  };
}

const verify = (stage: Awaited<ReturnType<typeof openStage>>, verificationCode = 'S3CR3T') =>
  stage.run('verify-contact-phone', { userId: unverified, verificationCode });

async function readiness(url: string) {
  const response = await fetch(`${url}/health/ready`);
  expect(response.status).toBe(200);
  const { status, redis } = (await response.json()) as { status: string; redis?: string };
  return { status, redis };
}

/** This many seconds, or fewer on a slow machine. */
const within = (seconds: number) =>
  expect.toSatisfy((left: number) => left <= seconds && left > seconds - 120, `up to ${seconds}`) as number;

const errorsOf = (answers: Pick<GraphQLAnswer<object>, 'errors'>[]) => answers.flatMap(({ errors }) => errors ?? []);

/** The codes that reached ZITADEL. The other calls are reads that look for another reason. */
const guessesOf = ({ calls }: EmbeddedZitadel) => calls.filter(({ rpc }) => rpc === 'VerifyPhone');

afterEach(() => void vi.restoreAllMocks());

describe.runIf(hasRedis)('with Redis', () => {
  test('of 50 simultaneous calls by one caller to two processes, exactly one sends an SMS, and five try a code', async () => {
    await using redis = await startRedis();
    await using upstream = await openStage();
    const { zitadel } = upstream;
    const start = async () => {
      const upstreams = { ZITADEL_URL: zitadel.url, ZITADEL_API: zitadelApi, REDIS_URL: redis.url };
      const server = startChild(['dist/main.js'], { ...upstreams, PORT: '0', HOST: '127.0.0.1' });
      const [, url = ''] = await server.printed(listening);
      return { server, url };
    };
    const processes = await Promise.all([start(), start()]);
    const urlOf = (index: number) => processes[index % 2]?.url ?? '';

    const resends = await fiftyAtOnce(zitadel, 1, (index) => resend(urlOf(index)));
    expect(resends.filter(({ errors }) => !errors)).toHaveLength(1);
    expect(errorsOf(resends)).toMatchObject(
      Array.from({ length: 49 }, () => ({ extensions: refusedFor('IN_PROGRESS') })),
    );
    expect(zitadel.outbox).toHaveLength(1);

    zitadel.calls.length = 0;
    const variables = { userId: unverified, verificationCode: 'S3CR3T' };
    const guesses = await fiftyAtOnce(zitadel, 5, (index) =>
      run(`${urlOf(index)}/graphql`, 'verify-contact-phone', variables),
    );
    expect(errorsOf(guesses).filter(({ extensions }) => extensions.reason === 'WRONG_CODES')).toHaveLength(45);
    expect(guessesOf(zitadel)).toHaveLength(5);

    for (const { server } of processes) {
      server.kill('SIGTERM');
      expect(await server.exited).toBe(0);
      expect(server.output.stdout).not.toContain('Redis is down or slow');
      leaveForLogTest([server.output.stdout, server.output.stderr]);
    }
  });

  test('counts across servers: what was sent, what is unknown, wrong codes and the budget', async () => {
    await using two = await openTwo({ SMS_LIMITS: '2/10m', SMS_BUDGET: '3/1h', VERIFY_LIMIT: '3/10m' });
    const { one, other, zitadel } = two;
    zitadel.misbehaveWhenWriting({ reset: true });

    expect((await one.resend()).errors).toMatchObject([{ extensions: { outcome: 'UNKNOWN' } }]);
    expect((await other.resend({}, self)).errors).toBeUndefined();
    // Both count for one caller, but only the second one for the other.
    expect((await other.resend()).errors).toMatchObject([{ extensions: { ...limited, retryAfter: within(600) } }]);
    expect((await one.resend()).errors).toMatchObject([{ extensions: limited }]);
    const second = await one.resend({}, self);
    expect(Date.parse(second.data?.resendContactPhoneCode?.resendAvailableAt ?? '')).toBeGreaterThan(Date.now());
    const budget = await other.run('set-contact-phone', { userId: users.phoneless.userId, number: '+41795550103' });
    expect(budget.errors).toMatchObject([{ extensions: { ...refusedFor('SMS_BUDGET'), retryAfter: within(3_600) } }]);
    expect(zitadel.outbox).toHaveLength(3);

    zitadel.calls.length = 0;
    const guesses = await Promise.all(Array.from({ length: 40 }, (_, index) => verify(index % 2 ? one : other)));
    expect(guessesOf(zitadel)).toHaveLength(3);
    expect(errorsOf(guesses).filter(({ extensions }) => extensions.reason === 'WRONG_CODES')).toHaveLength(37);
  });

  test('counts an answer that may be about a wrong code across servers, and for as long', async () => {
    const clock = stopClock();
    await using two = await openTwo();
    const { redis, one, other, zitadel } = two;
    await one.resend();
    zitadel.calls.length = 0;
    const html = { answer: { status: 400, headers: { 'content-type': 'text/html' }, body: '<html>' } };
    zitadel.misbehave(...Array.from({ length: 60 }, () => html));

    const answers = [];
    for (let times = 0; times < 60; times += 1) answers.push(await verify(times % 2 ? one : other));

    expect(errorsOf(answers).map(({ extensions }) => extensions.code)).toEqual([
      ...Array<string>(5).fill('UPSTREAM_MISCONFIGURED'),
      ...Array<string>(55).fill('RATE_LIMITED'),
    ]);
    // Not only for the minute that an unknown outcome counts for.
    clock.move(60);
    await redis.age(60);
    for (const server of [one, other]) {
      const { errors } = await verify(server, zitadel.codes[0]);
      expect(errors).toMatchObject([{ extensions: refusedFor('WRONG_CODES') }]);
    }
    expect(zitadel.calls).toHaveLength(5);
  });

  test('locks the right code out for a minute, in all servers, when ZITADEL was unavailable', async () => {
    const clock = stopClock();
    await using two = await openTwo();
    const { redis, one, other, zitadel } = two;
    await one.resend();
    zitadel.calls.length = 0;
    zitadel.misbehave(...Array.from({ length: 5 }, () => answered({ code: 14 }, 503)));
    const right = zitadel.codes[0];

    for (let times = 0; times < 5; times += 1) {
      expect((await verify(one, right)).errors).toMatchObject([{ extensions: { outcome: 'UNKNOWN' } }]);
    }
    const refused = { ...refusedFor('WRONG_CODES'), retryAfter: within(60) };
    for (const server of [one, other])
      expect((await verify(server, right)).errors).toMatchObject([{ extensions: refused }]);
    expect(zitadel.calls).toHaveLength(5);

    clock.move(60);
    await redis.age(60);
    expect((await verify(one, right)).errors).toBeUndefined();
  });

  test('loses no request and no limit of a process while Redis is down, and counts in Redis again afterwards', async () => {
    const people = crowd(200).filter(({ phone }) => !phone.isVerified);
    await using two = await openTwo({}, { moreUsers: people });
    const { redis, one, other, zitadel } = two;
    const userIds = people.map(({ userId }) => userId);
    const next = (count: number) => userIds.splice(0, count);
    /** Resends for this many users through both servers. */
    const run = (count: number) =>
      Promise.all(next(count).map((userId, index) => (index % 2 ? one : other).resend({ userId })));
    const [before = '', during = '', after = ''] = next(3);

    expect((await one.resend({ userId: before })).errors).toBeUndefined();
    expect((await other.resend({ userId: before })).errors).toMatchObject([{ extensions: limited }]);
    const running = [run(20)];
    const stopped = redis.stop();
    running.push(run(20));
    await stopped;
    running.push(run(20));
    expect(errorsOf((await Promise.all(running)).flat())).toEqual([]);
    expect(zitadel.outbox).toHaveLength(61);

    await two.both('down');
    // Each server still knows what it has sent itself.
    expect((await one.resend({ userId: before })).errors).toMatchObject([{ extensions: limited }]);
    expect((await other.resend({ userId: during })).errors).toBeUndefined();
    expect((await other.resend({ userId: during })).errors).toMatchObject([{ extensions: limited }]);
    expect((await one.resend({ userId: during })).errors).toBeUndefined();

    await redis.start();
    const starting = await run(20);
    await two.both('up');
    expect(errorsOf([...starting, ...(await run(10))])).toEqual([]);
    expect((await one.resend({ userId: after })).errors).toBeUndefined();
    expect((await other.resend({ userId: after })).errors).toMatchObject([{ extensions: limited }]);
    expect(zitadel.outbox).toHaveLength(94);

    for (const { lines } of [one, other]) {
      const logged = lines.map((line) => JSON.parse(line) as { level: number; msg: string });
      expect(logged.filter(({ msg }) => msg.startsWith('Redis')).map(({ level }) => level)).toEqual([30, 40, 30]);
    }
  });

  test('waits 200 ms for a slow Redis, and then no longer', async () => {
    await using two = await openTwo();
    const { redis, one } = two;
    const timers = vi.spyOn(globalThis, 'setTimeout');
    const waits = () => timers.mock.calls.filter(([, ms]) => ms === 10).length;

    redis.freeze();
    const sent = await one.resend();
    expect(waits()).toBe(20);
    expect(sent.errors).toBeUndefined();
    expect(await readiness(one.url)).toEqual({ status: 'ok', redis: 'down' });
    expect((await one.resend()).errors).toMatchObject([{ extensions: limited }]);
    expect((await one.resend({ userId: users.verified.userId })).errors).toMatchObject([
      { extensions: { code: 'FAILED_PRECONDITION' } },
    ]);
    expect(timers.mock.calls.map(([, ms]) => ms)).toContain(1_000);

    redis.thaw();
    await until(async () => (await readiness(one.url)).redis === 'up');
  });

  test('refuses nobody because of a hold from before Redis went down', async () => {
    await using two = await openTwo();
    const { redis, one, other, zitadel } = two;
    const answering = gate();
    const [early, late] = [{ userId: users.verified.userId }, { userId: users.phoneless.userId }];
    const refused = [{ extensions: { code: 'FAILED_PRECONDITION', outcome: 'NOT_DONE' } }];
    zitadel.misbehave({ hold: answering.opened });

    const inFlight = one.resend(early);
    await zitadel.called(1);
    redis.freeze();
    // Redis will execute this after the thaw, when nobody is waiting for it any more.
    expect((await one.resend(late)).errors).toMatchObject(refused);
    answering.open();
    expect((await inFlight).errors).toMatchObject(refused);
    redis.thaw();

    await two.both('up');
    for (const user of [early, late]) {
      expect((await one.resend(user)).errors).toMatchObject(refused);
      expect((await other.resend(user)).errors).toMatchObject(refused);
    }
  });

  test('does not use a Redis that answers but cannot count, until it can', async () => {
    await using two = await openTwo();
    const { redis, one } = two;

    await redis.setFull(true);
    expect((await one.resend()).errors).toBeUndefined();
    expect((await verify(one)).errors).toMatchObject([{ extensions: { code: 'INVALID_VERIFICATION_CODE' } }]);
    expect((await readiness(one.url)).redis).toBe('down');
    // It is retried once a second, and dropped again.
    await redis.refusedToCount(3);
    expect((await readiness(one.url)).redis).toBe('down');

    await redis.setFull(false);
    await until(async () => (await readiness(one.url)).redis === 'up');
    expect(one.lines.filter((line) => line.includes('Redis is'))).toHaveLength(3);
  });

  test('does not log its password, even if Redis quotes it in an error about AUTH', async () => {
    await using redis = await startRedis('--rename-command', 'AUTH', '');
    await using stage = await openStage({ REDIS_URL: redis.url });

    const warnings = stage.lines.filter((line) => line.includes('Redis is down or slow'));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain('Redis answered ERR');
    expect(warnings[0]).not.toContain('S3CR3T');
  });

  test('starts without Redis, connects later, notices when it goes down, and disconnects at shutdown', async () => {
    await using redis = await startRedis();
    await redis.stop();
    await using stage = await openStage({ SMS_LIMITS: '', REDIS_URL: redis.url });

    expect(await readiness(stage.url)).toEqual({ status: 'ok', redis: 'down' });
    expect((await stage.resend()).errors).toBeUndefined();
    await redis.start();
    await until(async () => (await readiness(stage.url)).redis === 'up');
    await redis.stop();
    await until(async () => (await readiness(stage.url)).redis === 'down');
    await redis.start();
    await until(async () => (await readiness(stage.url)).redis === 'up');
    expect(await redis.clients()).toBe(1);

    await stage.closeServer();
    await until(async () => (await redis.clients()) === 0);
  });

  test('stores no token, no phone number, nothing outside its own prefix, and nothing forever', async () => {
    await using two = await openTwo({ SMS_BUDGET: '9/1h' });
    const { redis, one, zitadel } = two;
    const answering = gate();
    zitadel.misbehaveWhenWriting({ reset: true }, { hold: answering.opened });

    await one.resend();
    const inFlight = one.resend({ userId: users.foreign.userId }, bearer(tokens.outsider.token));
    await zitadel.written(2);
    const whileInFlight = await redis.keys();
    answering.open();
    await inFlight;
    await verify(one);
    zitadel.misbehave({ reset: true });
    await verify(one);
    const keys = await redis.keys();

    const names = (all: [string, number][]) =>
      [...new Set(all.map(([key]) => key.split(':').slice(0, 2).join(':')))].filter(
        (name) => !name.endsWith(':connected'),
      );
    expect(names(whileInFlight)).toContain('contact-phone:sms-hold');
    expect(names(keys).sort()).toEqual([
      'contact-phone:guess-600s',
      'contact-phone:guess-wrong-600s',
      'contact-phone:sms-budget-3600s',
      'contact-phone:sms-sent-30s',
      'contact-phone:sms-sent-600s',
      'contact-phone:sms-sent-86400s',
      'contact-phone:sms-unknown',
      'contact-phone:sms-unknown-30s',
      'contact-phone:sms-unknown-600s',
      'contact-phone:sms-unknown-86400s',
    ]);
    for (const [key, endsInMs] of [...whileInFlight, ...keys]) {
      // The id of a user, and a caller as 256 bits in Base64.
      expect(key).toMatch(/^contact-phone:[a-z0-9-]+(:[\w-]{43})?(:[12])?:(\d{18}|everyone|probe)$/);
      // -1 would mean that the key never expires.
      expect(endsInMs).toBeGreaterThanOrEqual(0);
      expect(endsInMs).toBeLessThanOrEqual(86_400_000);
      for (const { token } of Object.values(tokens)) expect(key).not.toContain(token);
    }
  });
});
