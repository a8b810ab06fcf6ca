import { readFileSync } from 'node:fs';
import { createClient } from '@redis/client';
import { pino } from 'pino';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { readConfig } from '../src/config/config.js';
import { environment } from '../src/config/environment.js';
import { failedCall, failureOf } from '../src/failures.js';
import { callerOf } from '../src/limits/callers.js';
import { createLimits, type Limits } from '../src/limits/limits.js';
import { stopClock } from './support/clock.js';
import { hasRedis } from './support/has-redis.js';
import { startRedis } from './support/redis.js';
import { openStage, unverified } from './support/stage.js';

const page = readFileSync('docs/limits.md', 'utf8');
const text = page.replace(/\s+/g, ' ');

/** The cells of each row whose first cell matches. */
const rows = (first: RegExp) =>
  page
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .map((line) => line.slice(2, -2).split(/ +\| +/))
    .filter(([cell = '']) => first.test(cell));

const openLimits = (env: Record<string, string>): Promise<Limits> => {
  const { limits } = readConfig({ ZITADEL_URL: 'https://example.com', ...env });
  return createLimits(limits, 10_000, pino({ enabled: false }));
};

/** Each has their own token. Tokens that differ only in the last characters may be the same, so the index comes first. */
const caller = (index: number) => callerOf(`Bearer ${index}-token-of-someone`, () => false);

/** If the limits refuse a call, the reason and the seconds to wait. */
const refusalOf = async (call: Promise<unknown>) => {
  const { verdict, facts } = failureOf(await call.catch((error: unknown) => error));
  return verdict.code === 'RATE_LIMITED' ? [verdict.reason, facts.retryAfter] : undefined;
};

const wrongCode = () =>
  failedCall({ rpc: 'VerifyPhone', kind: 'rejected', sent: true, httpStatus: 400, code: 3, id: 'COMMAND-eis9R' });

afterEach(() => void vi.useRealTimers());

test('its table names the defaults', () => {
  const { data } = environment.safeParse({ ZITADEL_URL: 'https://example.com' });
  const defaults = rows(/^`[A-Z_]+`$/).map(([name = '', value = '']) => [
    name.replaceAll('`', ''),
    value.replace('as ', '').replaceAll('`', ''),
  ]);

  const [perUser, perNumber, ...others] = defaults;
  expect(perNumber).toEqual(['SMS_LIMITS_PER_NUMBER', perUser?.[0]]);
  const named = Object.fromEntries([perUser ?? [], ...others].filter(([, value]) => value !== 'all')) as object;
  expect(Object.keys(named)).toHaveLength(4);
  const { data: read } = environment.safeParse({ ZITADEL_URL: 'https://example.com', ...named });
  expect(read).toEqual(data);
  expect([data?.SMS_LIMITS_PER_NUMBER, data?.SMS_COUNTRIES]).toEqual([undefined, []]);
});

test('its limits on wrong codes hold, and its minute for an unknown outcome', async () => {
  const [, all, strangers] =
    /- (\d+) in an hour for one user, .* - (\d+) of these \1 by callers who may not/.exec(text) ?? [];
  const minutes = /A guess with an unknown outcome counts for one (minute)/.exec(text);
  stopClock();
  const { guesses } = await openLimits({ VERIFY_LIMIT: '1/10m' });
  let tried = 0;
  const guess = (index: number, mayRead: boolean) =>
    refusalOf(
      guesses.run(
        'a user',
        caller(index),
        () => Promise.resolve(mayRead),
        () => {
          tried += 1;
          return Promise.reject(wrongCode());
        },
      ),
    );

  for (let index = 0; index < 50; index += 1) await guess(index, false);
  expect(tried).toBe(Number(strangers));
  for (let index = 50; index < 100; index += 1) await guess(index, true);
  expect(tried).toBe(Number(all));
  expect(await guess(100, true)).toEqual(['WRONG_CODES', 3600]);

  const timeout = failedCall({ rpc: 'VerifyPhone', kind: 'timeout', sent: true });
  const guessAnother = () =>
    refusalOf(
      guesses.run(
        'another user',
        caller(0),
        () => Promise.resolve(true),
        () => Promise.reject(timeout),
      ),
    );
  await guessAnother();
  expect(await guessAnother()).toEqual(['WRONG_CODES', minutes?.[1] === 'minute' && 60]);
});

test('as many wait in line as it says, for as long', async () => {
  const [, places] = /A line has (\d+) places/.exec(text) ?? [];
  const [, seconds] = /waits for its outcome: at most (\d+) seconds/.exec(text) ?? [];
  vi.useFakeTimers({ toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout'] });
  const { sms } = await openLimits({});
  const send = (index: number) => {
    const one = { userId: 'a user', number: '+41795550101', country: 'CH' };
    return refusalOf(
      sms.run(
        one,
        caller(index),
        5_000,
        () => new Promise(() => {}),
        () => 'DONE',
      ),
    );
  };
  void send(0);

  const refused: unknown[] = [];
  for (let index = 1; index <= 20; index += 1) void send(index).then((refusal) => refused.push(refusal));
  await vi.advanceTimersByTimeAsync(Number(seconds) * 1000 - 1);
  expect(refused).toHaveLength(20 - Number(places));
  await vi.advanceTimersByTimeAsync(1);
  expect(refused).toEqual(Array.from({ length: 20 }, () => ['IN_PROGRESS', 1]));
});

test('a budget counts an SMS at most as long as it says', async () => {
  const [, buckets, budget = ''] = /at most a (\d+)th of the duration too long: a minute, for `(\S+)`/.exec(text) ?? [];
  const { sms } = await openLimits({ SMS_LIMITS: 'off', SMS_BUDGET: budget.replace('1000', '1') });
  const clock = stopClock();
  const send = () => {
    const one = { userId: 'a user', number: '+41795550101', country: 'CH' };
    return refusalOf(
      sms.run(
        one,
        caller(0),
        5_000,
        () => Promise.resolve(),
        () => 'DONE',
      ),
    );
  };

  const lateness = new Set<number>();
  for (let seconds = 0; seconds < 60; seconds += 7) {
    await send();
    const [reason, retryAfter = 0] = (await send()) ?? [];
    expect(reason).toBe('SMS_BUDGET');
    lateness.add(Number(retryAfter) - 3600);
    clock.move(Number(retryAfter) + seconds);
  }
  expect(Math.max(...lateness)).toBeLessThanOrEqual(3600 / Number(buckets));
  expect(Math.min(...lateness)).toBeGreaterThanOrEqual(0);
  expect(lateness.size).toBeGreaterThan(4);
});

describe.runIf(hasRedis)('with Redis', () => {
  test('its examples of keys are what a server stores, and take about as many bytes', async () => {
    await using redis = await startRedis();
    const env = { REDIS_URL: redis.url, PHONE_HASH_KEY: 'the-key-of-this-test', SMS_BUDGET: '1000/1h' };
    await using stage = await openStage({ ...env, SMS_LIMITS: '', VERIFY_LIMIT: '' });
    const client = await createClient({ url: redis.url })
      .on('error', () => {})
      .connect();

    await stage.resend();
    await stage.run('verify-contact-phone', { userId: unverified, verificationCode: 'WRONG1' });
    const stored = (await client.keys('*')).filter((key) => key !== '{contact-phone}:probe');
    const examples = rows(/^`\{contact-phone\}:/);

    expect(stored).toHaveLength(examples.length);
    for (const [key = '', example = '', bytes] of examples) {
      const pattern = key
        .replaceAll('`', '')
        .replace(/…|[\w-]{43}/, '#')
        .replace(/[{}]/g, '\\$&')
        .replace('#', '[\\w-]{43}');
      const found = stored.filter((one) => new RegExp(`^${pattern}$`).test(one));
      expect(found, key).toHaveLength(1);
      const [one = ''] = found;
      const isHash = (await client.type(one)) === 'hash';
      const parts = isHash ? Object.entries(await client.hGetAll(one)).flat() : [(await client.get(one)) ?? ''];
      const withoutDigits = (value: string) => value.replace(/\d/g, '0');
      const quoted = [...example.matchAll(/`(.*?)`/g)].map(([, part = '']) => part);
      expect(parts.filter((part) => part !== '').map(withoutDigits)).toEqual(quoted.map(withoutDigits));
      // Versions of Redis and its allocator differ.
      const used = Number(await client.memoryUsage(one));
      expect(Math.abs(used - Number(bytes)), `${key}: ${used} bytes`).toBeLessThanOrEqual(used / 4);
    }
    client.destroy();
  });
});

test('its table of faults names tests that exist', () => {
  const faults = rows(/^(It|Its|An|A|`FLUSHALL`) ?/).filter(([, , where = '']) => where.includes('.test.ts'));

  expect(faults.length).toBeGreaterThan(8);
  for (const [fault, , where = ''] of faults) {
    const [, file = ''] = /\(\.\.\/(test\/\S+\.test\.ts)\)/.exec(where) ?? [];
    const titles = [...where.matchAll(/"(.*?)"/g)].map(([, title = '']) => title);
    expect(titles, fault).not.toEqual([]);
    for (const title of titles) expect(readFileSync(file, 'utf8'), `${file}: ${title}`).toContain(title);
  }
});
