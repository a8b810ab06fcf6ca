import { expect } from 'vitest';
import { startRedis } from './redis.js';
import { openStage } from './stage.js';
import { until } from './until.js';

/** Two servers with the same ZITADEL, which one calls over REST and the other over Connect, and the same Redis. */
export async function openTwo(env: Record<string, string> = {}, options: Parameters<typeof openStage>[1] = {}) {
  const redis = await startRedis();
  const shared = { SMS_LIMITS: '1/10m', VERIFY_LIMIT: '', REDIS_URL: redis.url, ...env };
  const one = await openStage({ ...shared, ZITADEL_API: 'rest' }, options);
  const other = await openStage({ ...shared, ZITADEL_API: 'connect', ZITADEL_URL: one.zitadel.url });
  /** Resolves when both report this state of Redis. */
  const both = async (state: 'up' | 'down') => {
    for (const { url } of [one, other]) await redisIs(state, url);
  };
  // On a slow machine, the first attempt to connect may fail.
  await both('up');
  return {
    redis,
    one,
    other,
    zitadel: one.zitadel,
    both,
    async [Symbol.asyncDispose]() {
      await other[Symbol.asyncDispose]();
      await one[Symbol.asyncDispose]();
      await redis[Symbol.asyncDispose]();
    },
  };
}

/** The state of Redis that a server reports. It is ready, whatever that is. */
export async function redisAt(url: string) {
  const response = await fetch(`${url}/health/ready`);
  expect(response.status).toBe(200);
  return ((await response.json()) as { redis?: string }).redis;
}

/** Resolves when a server reports this state of Redis. */
export const redisIs = (state: 'up' | 'down', url: string) => until(async () => (await redisAt(url)) === state);

/** This many seconds, or fewer on a slow machine. */
export const within = (seconds: number) =>
  expect.toSatisfy((left: number) => left <= seconds && left > seconds - 120, `up to ${seconds}`) as number;
