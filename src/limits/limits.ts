import type { LimitsConfig } from '../config/config.js';
import type { Logger } from 'pino';
import { KnownCallers } from './callers.js';
import { GuessLimit } from './guess-limit.js';
import { MemoryStore } from './memory-store.js';
import { Reservations } from './reservations.js';
import { allCountries, SmsLimit } from './sms-limit.js';
import type { Budget } from './store.js';

/** Limits how often SMS may be sent and wrong codes tried: see docs/limits.md. */
export interface Limits {
  sms: SmsLimit;
  guesses: GuessLimit;
  /** Empty if no Redis is configured. */
  state(): { redis?: 'up' | 'down' };
  /**
   * Switches to other secrets. Calls in flight keep their reservations.
   *
   * @throws {ConfigError} if Redis is up, but not with its new URL; then nothing changes
   */
  rotate(secrets: Pick<LimitsConfig, 'phoneHashKeys' | 'redisUrl'>): Promise<void>;
  close(): void;
}

/**
 * Creates the limits. They apply within this process and, while Redis is up, across all processes.
 *
 * @param longestCallMs the longest that a limited call can take
 * @throws {ConfigError} if this kind of Redis is not supported
 */
export async function createLimits(config: LimitsConfig, longestCallMs: number, logger: Logger): Promise<Limits> {
  // One extra second to process the answer on a busy machine.
  const holdMs = longestCallMs + 1_000;
  const redis = config.redisUrl && (await connectRedis(config.redisUrl, config.redisPrefix, logger));
  if (redis && config.smsLimitsPerNumber.length > 0 && config.phoneHashKeys === undefined) {
    logger.warn('PHONE_HASH_KEY is not set: each process applies SMS_LIMITS_PER_NUMBER on its own');
  }
  const reservations = new Reservations(new MemoryStore(holdMs), redis && new redis.Store(redis.connection, holdMs));
  if (redis) redis.connection.onUp = () => void reservations.shareMissed();
  const known = new KnownCallers();
  const guesses = new GuessLimit(reservations, known, config.verifyLimit);
  const sms = new SmsLimit(reservations, known, guesses, config, warnOfFullBudgets(logger));
  return {
    sms,
    guesses,
    state: () => (redis ? { redis: redis.connection.state } : {}),
    async rotate({ phoneHashKeys, redisUrl }) {
      if (redisUrl) await redis?.connection.rotate(redisUrl);
      if (phoneHashKeys) sms.rotate(phoneHashKeys);
    },
    close: () => redis?.connection.close(),
  };
}

/** Imports the client only if needed, since importing takes a quarter of a second. */
async function connectRedis(url: URL, prefix: string, logger: Logger) {
  const [{ RedisConnection }, { RedisStore: Store }] = await Promise.all([
    import('./redis-connection.js'),
    import('./redis-store.js'),
  ]);
  const connection = new RedisConnection(url, prefix, logger);
  await connection.connect();
  return { connection, Store };
}

/** Warns once each time a budget fills up, not for each SMS that it refuses. */
function warnOfFullBudgets(logger: Logger): (budget: Budget, opensInMs: number) => void {
  const warnedUntil = new Map<string, number>();
  return ({ name }, opensInMs) => {
    const now = performance.now();
    if (now < (warnedUntil.get(name) ?? 0)) return;
    warnedUntil.set(name, now + opensInMs);
    const where = name === allCountries ? 'anyone' : `numbers of ${name}`;
    logger.warn({ budget: name }, `SMS_BUDGET is used up: no SMS will be sent to ${where} for a while`);
  };
}
