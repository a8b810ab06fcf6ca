import type { RedisStore } from './redis-store.js';
import type { LimitedCall, Settlement } from './store.js';

/** About 5 MB. Redis does not learn of older ones. */
const maxMissed = 10_000;
/** No reservation in Redis has this time. */
const notReserved = Number.MAX_SAFE_INTEGER;

/** Calls that Redis missed because it was down. Once it is up, it learns of them, so that they still count after a restart of this process. */
export class MissedCalls {
  private readonly missed = new Set<{ call: LimitedCall; settlements: readonly Settlement[]; endedAt: number }>();

  constructor(private readonly redis: Pick<RedisStore, 'isUp' | 'settle'>) {}

  /** @param settlements for each history */
  add(call: LimitedCall, settlements: readonly Settlement[]): void {
    if (settlements.every((settlement) => settlement === 'remove')) return;
    this.missed.add({ call, settlements, endedAt: performance.now() });
    const [oldest] = this.missed;
    if (oldest && this.missed.size > maxMissed) this.missed.delete(oldest);
    // It may be up again by now.
    void this.share();
  }

  /** Writes them to Redis, if it is up: each at most once, since it would count twice. */
  async share(): Promise<void> {
    for (const one of this.missed) {
      if (!this.redis.isUp) return;
      this.missed.delete(one);
      const { call, settlements, endedAt } = one;
      const ageMs = performance.now() - endedAt;
      const left = call.histories.map(({ kind }, index) => {
        const settlement = settlements[index] ?? 'keep';
        // Not 'remove' if it is too old: a budget may be longer.
        return settlement === 'remove'
          ? settlement
          : Math.max(1, (settlement === 'keep' ? kind.longestMs : settlement) - ageMs);
      });
      await this.redis.settle(call, notReserved, left);
    }
  }
}
