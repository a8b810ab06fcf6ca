import type { Limit } from '../config.js';
import { LimitReached, type Gate, type Permit } from './checkpoint.js';
import type { Counter, CreateCounter } from './counts.js';

/**
 * Limits how many wrong codes one caller may try for one user. A guess takes one of a limited number of places before the call, so that
 * guesses in flight cannot exceed the limit. If it counts, it keeps its place for the time of the limit; if not, it leaves immediately.
 *
 * A guess that does not count takes two store operations, plus one for each earlier guess that counts.
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
          // After that, the place may belong to another guess.
          if (outcome === 'COUNTS_NOT' && performance.now() < endsAt) await this.places.delete(key);
          return 0;
        },
      };
    }
    throw new LimitReached('VERIFY_LIMIT', opensAt);
  }
}
