import type { Logger } from 'pino';
import type { GuardConfig } from '../config.js';
import { Checkpoint, type Gate } from './checkpoint.js';
import type { CreateCounter } from './counts.js';
import { GuessLimit } from './guess-limit.js';
import { MemoryCounter } from './memory-counter.js';
import { SharedGate } from './shared-gate.js';
import { SmsBudget } from './sms-budget.js';
import { SmsLimits } from './sms-limits.js';

/** How often an SMS may be sent, and a verification code tried. */
export interface Guard {
  sms: Checkpoint;
  guesses: Checkpoint;
  /** Whether Redis is there, if there should be one. */
  state(): { redis?: 'up' | 'down' };
  close(): void;
}

/**
 * The limits hold in this process, whatever happens; and across all processes, as long as Redis is there. The memory comes first: it is
 * cheap to ask, and it knows of every SMS that this process sent, also when Redis has forgotten it.
 *
 * @param longestCallMs the longest time that a guarded call may take
 */
export async function createGuard(config: GuardConfig, longestCallMs: number, logger: Logger): Promise<Guard> {
  const { smsLimits, smsBudget, verifyLimit, redisUrl } = config;
  // A second more, in which the stores count.
  const holdSeconds = Math.ceil(longestCallMs / 1000) + 1;
  const onSpent = () => logger.warn('SMS_BUDGET is used up: no SMS is sent to anybody for a while');

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

/** Loaded only where it is used: it takes a quarter of a second. */
async function connectRedis(url: URL, logger: Logger) {
  const { Redis } = await import('./redis.js');
  const redis = new Redis(url, logger);
  await redis.connect();
  return redis;
}
