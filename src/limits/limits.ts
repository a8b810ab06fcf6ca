import { hash } from 'node:crypto';
import type { Logger } from 'pino';
import type { LimitsConfig } from '../config.js';
import type { Outcome } from '../errors.js';
import type { Failure } from '../failure.js';
import { failureOf } from '../failures.js';
import { MemoryCounter, type CreateCounter } from './counters.js';
import { GuessLimiter, SmsBudgetLimiter, SmsLimiter, type Limiter, type Reservation } from './limiters.js';
import type { Redis } from './redis.js';

/** Limits how often an SMS may be sent and a verification code tried. */
export interface Limits {
  sms: Limiters;
  guesses: Limiters;
  /** Whether Redis is up, if one is configured. */
  state(): { redis?: 'up' | 'down' };
  close(): void;
}

/**
 * The limits always hold in this process, and across all processes while Redis is up. Memory is checked first: that is cheap, and memory
 * knows every SMS that this process sent, even if Redis has lost it.
 *
 * @param longestCallMs the longest that a limited call can take
 */
export async function createLimits(config: LimitsConfig, longestCallMs: number, logger: Logger): Promise<Limits> {
  const { smsLimits, smsBudgets, verifyLimit, redisUrl } = config;
  const smsBudget = smsBudgets.find(({ country }) => country === undefined)?.limit;
  // One second more, for the stores to count.
  const holdSeconds = Math.ceil(longestCallMs / 1000) + 1;
  const onSpent = () => logger.warn('SMS_BUDGET is used up: no SMS will be sent to anyone for a while');

  const ofSms = (create: CreateCounter): Limiter[] => [
    ...(smsLimits.length > 0 ? [new SmsLimiter(create, smsLimits, holdSeconds)] : []),
    ...(smsBudget ? [new SmsBudgetLimiter(create, smsBudget, onSpent)] : []),
  ];
  const ofGuesses = (create: CreateCounter): Limiter[] =>
    verifyLimit ? [new GuessLimiter(create, verifyLimit, holdSeconds)] : [];

  const redis = redisUrl && (await connectRedis(redisUrl, logger));
  const everywhere = (limiters: (create: CreateCounter) => Limiter[]) =>
    new Limiters([
      ...limiters((_name, limit) => new MemoryCounter(limit)),
      ...(redis ? limiters(redis.createCounter).map((limiter) => new SharedLimiter(redis, limiter)) : []),
    ]);
  return {
    sms: everywhere(ofSms),
    guesses: everywhere(ofGuesses),
    state: () => (redis ? { redis: redis.state } : {}),
    close: () => redis?.close(),
  };
}

/** Loaded only if needed: loading takes a quarter of a second. */
async function connectRedis(url: URL, logger: Logger): Promise<Redis> {
  const { Redis } = await import('./redis.js');
  const redis = new Redis(url, logger);
  await redis.connect();
  return redis;
}

/** Makes a call if all limiters allow it, and reports its outcome to each of them. */
export class Limiters {
  /** @param limiters asked in this order, so put the cheapest first */
  constructor(private readonly limiters: readonly Limiter[]) {}

  /**
   * @param outcomeOf whether what is limited was done by the call, given its failure if it failed
   * @returns the call's answer, and when another call will be allowed: null if there are no limits
   * @throws {Failure} RATE_LIMITED, without making the call
   */
  async run<Answer>(
    userId: string,
    callerKey: string,
    call: () => Promise<Answer>,
    outcomeOf: (failure?: Failure) => Outcome,
  ): Promise<{ answer: Answer; opensAt: Date | null }> {
    const reservations: Reservation[] = [];
    const settle = (outcome: Outcome) => Promise.all(reservations.map((reservation) => reservation.settle(outcome)));
    try {
      for (const limiter of this.limiters) reservations.push(await limiter.reserve(userId, callerKey));
    } catch (error) {
      await settle('NOT_DONE');
      throw error;
    }

    let answer: Answer;
    try {
      answer = await call();
    } catch (error) {
      await settle(outcomeOf(failureOf(error)));
      throw error;
    }
    const open = await settle(outcomeOf());
    return { answer, opensAt: open.length > 0 ? dateOf(Math.max(...open)) : null };
  }
}

/** A limiter that counts in Redis, and allows everything while Redis is down. */
class SharedLimiter implements Limiter {
  constructor(
    private readonly redis: Redis,
    private readonly limiter: Limiter,
  ) {}

  async reserve(userId: string, callerKey: string): Promise<Reservation> {
    if (this.redis.state === 'down') return { settle: () => Promise.resolve(0) };
    const reservation = await this.redis.ask(() => this.limiter.reserve(userId, callerKey));
    return { settle: (outcome) => this.settle(reservation, outcome, userId, callerKey) };
  }

  /** @param reservation undefined if there was no answer: Redis may hold it anyway */
  private async settle(
    reservation: Reservation | undefined,
    outcome: Outcome,
    userId: string,
    callerKey: string,
  ): Promise<number> {
    const release = async () => {
      await this.limiter.release?.(userId, callerKey);
      return 0;
    };
    const opensAt = await this.redis.ask(() => reservation?.settle(outcome) ?? release());
    if (opensAt === undefined) this.redis.whenBack(release);
    return opensAt ?? 0;
  }
}

/** Converts a time of `performance.now()` to a date, rounding up; now if it has passed. */
function dateOf(moment: number): Date {
  return new Date(Math.ceil(Date.now() + Math.max(0, moment - performance.now())));
}

/** RFC 6750, section 2.1. */
const bearerToken = /^Bearer ([\w.~+/-]+=*)$/;

/**
 * Identifies a caller without storing their token: its SHA-256. Tokens are long and random, so the hash needs no key.
 *
 * One token must not pass for many callers. But ZITADEL also accepts a token after a word other than `Bearer` or with spaces in it, and
 * ignores the last bits of its Base64. So all callers with a nonstandard header count as one caller, and the hash is of the decoded Base64.
 */
export function callerKeyOf(authorization: string): string {
  const token = bearerToken.exec(authorization)?.[1] ?? '';
  const parts = token.split('.').map((part) => Buffer.from(part, 'base64url').toString('base64url'));
  return hash('sha256', parts.join('.'), 'base64url');
}
