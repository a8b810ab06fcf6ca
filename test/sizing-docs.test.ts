import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { crowd } from './support/crowd.js';
import { hasRedis } from './support/has-redis.js';
import { table } from './support/markdown.js';
import { readMetrics } from './support/metrics.js';
import { readOne } from './support/reads.js';
import { startRedis } from './support/redis.js';
import { manager, openStage, post } from './support/stage.js';
import { redisIs } from './support/two-servers.js';

const page = readFileSync('docs/operations.md', 'utf8');

/** To seconds, bytes and shares. */
const units: Record<string, number> = { '%': 0.01, B: 1, kB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, µs: 1e-6, ms: 1e-3 };
const valueOf = (cell = '') => {
  const [, number = '', unit = ''] = /^([\d.,]+)(?: (\S+))?$/.exec(cell) ?? [];
  return Number(number.replaceAll(',', '')) * (unit === '' ? 1 : (units[unit] ?? NaN));
};
const base = Object.fromEntries(table(page, 'What a verification costs').map(([name = '', figure]) => [name, figure]));
const cost = (name: string) => valueOf(base[name]);

/** What each row of the table must say for this many verifications a day. */
function needs(day: number): Record<string, number> {
  const mean = day / 86_400;
  const peak = mean * cost('peak');
  const processes = Math.ceil((peak * cost('cpu')) / cost('use'));
  const run = day > 1_000 ? Math.max(3, processes) : processes;
  return {
    'Verifications per second': mean,
    'Verifications per second at peak': peak,
    'Requests per second at peak': peak * 3,
    'Busy cores': peak * cost('cpu'),
    'Processes for that': processes,
    'Processes to run': run,
    'Memory of each': cost('rest') + cost('held') * Math.min(1e6, day / run),
    'Calls to ZITADEL per second': peak * cost('calls'),
    'Calls in flight': peak * cost('latency'),
    'Connections to ZITADEL, at most': run * 129,
    'Scripts in Redis per second': peak * cost('scripts'),
    'Busy cores of Redis': peak * cost('redis'),
    'Masters of Redis': Math.ceil((peak * cost('redis')) / cost('use')),
    'Memory of Redis': day * cost('stored'),
    'Log a day': day * cost('log'),
  };
}

/** The page rounds to two digits. */
const nearly = (value: number) =>
  expect.toSatisfy((written: number) => Math.abs(written / value - 1) < 0.055, `nearly ${value}`) as number;

test('the table of what you need follows from what a verification costs', () => {
  const rows = table(page, 'What you need');

  for (const [column, day] of [1e3, 1e6, 1e9].entries()) {
    const written = Object.fromEntries(rows.map(([name = '', ...cells]) => [name, valueOf(cells[column + 1])]));
    const computed = Object.entries(needs(day)).map(([name, value]) => [name, nearly(value)]);
    expect(written).toEqual(Object.fromEntries(computed));
  }
});

test('the text says at how many verifications a day Redis is full', () => {
  const [, millions] = /Redis is the first limit of this server\*\*, at (\d+) million a day/.exec(page) ?? [];

  expect(Number(millions) * 1e6).toEqual(nearly((cost('use') / cost('redis') / cost('peak')) * 86_400));
});

test('a process serves fewer series of metrics than the text says', async () => {
  await using stage = await openStage();
  await stage.resend();
  const [, most = ''] = /fewer than ([\d,]+) series/.exec(page) ?? [];

  expect(Object.keys(await readMetrics(stage.metricsUrl)).length).toBeLessThan(valueOf(most));
});

test.runIf(hasRedis)('a verification makes as many calls to ZITADEL and to Redis as the text says', async () => {
  await using redis = await startRedis();
  const env = { SMS_LIMITS: '1/10m', VERIFY_LIMIT: '5/10m', REDIS_URL: redis.url };
  await using stage = await openStage(env, { moreUsers: crowd(4) });
  const { zitadel, graphql } = stage;
  await redisIs('up', stage.url);
  const verification = async ({ userId }: { userId: string }) => {
    await stage.resend({ userId });
    const verificationCode = zitadel.pendingCode(userId);
    const query = `mutation ($userId: ID!, $verificationCode: VerificationCode!) {
      verifyContactPhone(userId: $userId, verificationCode: $verificationCode) { user { id } }
    }`;
    await post(graphql, { query, variables: { userId, verificationCode } }, manager);
    await readOne(graphql, userId);
  };
  const [first, second] = crowd(4).filter(({ phone }) => !phone.isVerified);
  if (!first || !second) throw new Error('There are too few users.');
  // Redis is sent each script once.
  await verification(first);
  const before = { calls: zitadel.calls.length, ...(await redis.commandCounts()) };
  await verification(second);

  expect(zitadel.calls.length - before.calls).toBe(cost('calls'));
  expect((await redis.commandCounts()).evalsha - before.evalsha).toBe(cost('scripts'));
});
