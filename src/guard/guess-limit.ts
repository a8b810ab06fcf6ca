import type { Limit } from '../config.js';
import { LimitReached, type Gate, type Permit } from './checkpoint.js';
import type { Counter, CreateCounter } from './counts.js';

/**
 * How many wrong codes one caller may try for one user. There are so many places; a guess takes one before the call, so that no more are
 * ever under way, and leaves it at once unless it counts: then it keeps the place for the time of the limit.
 *
 * A guess that does not count takes two operations of the store; each wrong one before it adds one.
 */
export class GuessLimit implements Gate {
  private readonly places: Counter;

  constructor(
    create: CreateCounter,
    private readonly limit: Limit,
  ) {
    this.places = create(`guess-${limit.seconds}s`, { count: 1, seconds: limit.seconds });
  }

  async admit(userId: string, callerKey: string): Promise<Permit> {
    let opensAt = Infinity;
    for (let place = 1; place <= this.limit.count; place += 1) {
      const key = `${callerKey}:${place}:${userId}`;
      const { count, endsAt } = await this.places.add(key);
      if (count > 1) {
        opensAt = Math.min(opensAt, endsAt);
        continue;
      }
      return {
        settle: async (outcome) => {
          // Later it may be another guess's.
          if (outcome === 'COUNTS_NOT' && performance.now() < endsAt) await this.places.delete(key);
          return 0;
        },
      };
    }
    throw new LimitReached('VERIFY_LIMIT', opensAt);
  }
}
