import type { RateLimiterAbstract } from 'rate-limiter-flexible';
import type { Limit } from '../config.js';
import { LimitReached, type Gate, type Permit } from './checkpoint.js';
import { take, type Count, type CreateLimiter } from './counts.js';

/** Longer than a store takes to do as it is told. */
const marginMs = 1_000;

/**
 * How many wrong codes one caller may try for one user. A guess is taken before the call, so that no more than these are ever under
 * way, and given back unless it counts.
 */
export class GuessLimit implements Gate {
  private readonly guesses: RateLimiterAbstract;

  constructor(create: CreateLimiter, limit: Limit) {
    this.guesses = create(`guesses-${limit.seconds}s`, limit);
  }

  async admit(userId: string, callerKey: string): Promise<Permit> {
    const key = `${callerKey}:${userId}`;
    const guess = await take(this.guesses, key);
    if (!guess.isTaken) {
      // It is counted all the same.
      await this.giveBack(key, guess);
      throw new LimitReached(guess.endsAt);
    }
    return {
      settle: async (outcome) => {
        if (outcome === 'COUNTS_NOT') await this.giveBack(key, guess);
        return 0;
      },
    };
  }

  /** A guess of a window that is over would be missing from the next one, which would allow one too many. */
  private async giveBack(key: string, { endsAt }: Count): Promise<void> {
    if (Date.now() < endsAt - marginMs) await this.guesses.reward(key);
  }
}
