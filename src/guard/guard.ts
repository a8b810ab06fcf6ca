import type { Logger } from 'pino';
import type { GuardConfig } from '../config.js';
import { Checkpoint, type Gate } from './checkpoint.js';
import type { CreateCounter } from './counts.js';
import { GuessLimit } from './guess-limit.js';
import { MemoryCounter } from './memory-counter.js';
import { SharedGate } from './shared-gate.js';
import { SmsBudget } from './sms-budget.js';
import { SmsLimits } from './sms-limits.js';

/** Limits how often an SMS may be sent and a verification code tried. */
export interface Guard {
  sms: Checkpoint;
  guesses: Checkpoint;
  /** Whether Redis is up, if one is configured. */
  state(): { redis?: 'up' | 'down' };
  close(): void;
}

/**
 * The limits always hold in this process, and across all processes while Redis is up. Memory is checked first: that is cheap, and memory
 * knows every SMS that this process sent, even if Redis has lost it.
 *
 * @param longestCallMs the longest that a guarded call can take
 */
export async function createGuard(config: GuardConfig, longestCallMs: number, logger: Logger): Promise<Guard> {
  const { smsLimits, smsBudget, verifyLimit, redisUrl } = config;
  // One second more, for the stores to count.
  const holdSeconds = Math.ceil(longestCallMs / 1000) + 1;
  const onSpent = () => logger.warn('SMS_BUDGET is used up: no SMS will be sent to anyone for a while');

  const smsGates = (create: CreateCounter): Gate[] => [
    ...(smsLimits.length > 0 ? [new SmsLimits(create, smsLimits, holdSeconds)] : []),
    ...(smsBudget ? [new SmsBudget(create, smsBudget, onSpent)] : []),
  ];
  const guessGates = (create: CreateCounter): Gate[] => (verifyLimit ? [new GuessLimit(create, verifyLimit)] : []);

  const redis = redisUrl && (await connectRedis(redisUrl, logger));
  const everywhere = (gates: (create: CreateCounter) => Gate[]) =>
    new Checkpoint([
      ...gates((_name, limit) => new MemoryCounter(limit)),
      ...(redis ? gates(redis.createCounter).map((gate) => new SharedGate(redis, gate)) : []),
    ]);
  return {
    sms: everywhere(smsGates),
    guesses: everywhere(guessGates),
    state: () => (redis ? { redis: redis.state } : {}),
    close: () => redis?.close(),
  };
}

/** Loaded only if needed: loading takes a quarter of a second. */
async function connectRedis(url: URL, logger: Logger) {
  const { Redis } = await import('./redis.js');
  const redis = new Redis(url, logger);
  await redis.connect();
  return redis;
}
