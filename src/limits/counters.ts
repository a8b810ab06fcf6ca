import type { Limit } from '../config.js';

/**
 * The count of a key, and when it expires, on the clock of `performance.now()`: changing the system clock must not change the limits.
 */
export interface Count {
  readonly count: number;
  readonly endsAt: number;
}

export const nothing: Count = { count: 0, endsAt: 0 };

type Awaitable<Value> = Value | Promise<Value>;

/** Counts for one limit in one store. A key expires a fixed time after its first count: the seconds of the limit. */
export interface Counter {
  get(key: string): Awaitable<Count>;
  /** Counts one more. */
  add(key: string): Awaitable<Count>;
  /** Restarts the count at one. */
  restart(key: string): Awaitable<unknown>;
  delete(key: string): Awaitable<unknown>;
}

/** Creates the counter of a limit in one store. */
export type CreateCounter = (name: string, limit: Limit) => Counter;

/** When a limit on the sum of the two counts will allow one more, on the clock of `performance.now()`; 0 if it does now. */
export function opensAt(limit: Limit, one: Count = nothing, other: Count = nothing): number {
  const sum = one.count + other.count;
  if (sum < limit.count) return 0;
  const [first, last] = one.endsAt < other.endsAt ? [one, other] : [other, one];
  return sum - first.count < limit.count ? first.endsAt : last.endsAt;
}

/** The most keys removed by one insert: so many take less than a millisecond. */
const forgottenAtOnce = 1_000;

/**
 * Counts in the memory of this process. All keys share one TTL and restarted keys are re-inserted, so Map order is expiry order. This
 * avoids a timer per key, which would take most of the time and memory.
 */
export class MemoryCounter implements Counter {
  private readonly counts = new Map<string, Count>();
  /** When to remove expired keys next. Doing so at every insert would be slow: to find the first key, V8 steps over removed ones. */
  private forgetAt = 0;

  /** @param maxKeys if there are more, the oldest are removed early */
  constructor(
    private readonly limit: Limit,
    private readonly maxKeys = 1_000_000,
  ) {}

  get(key: string): Count {
    const found = this.counts.get(key);
    return found && found.endsAt > performance.now() ? found : nothing;
  }

  add(key: string): Count {
    const found = this.counts.get(key);
    if (!found) return this.begin(key);
    if (found.endsAt <= performance.now()) return this.restart(key);
    const next = { count: found.count + 1, endsAt: found.endsAt };
    this.counts.set(key, next);
    return next;
  }

  restart(key: string): Count {
    this.counts.delete(key);
    return this.begin(key);
  }

  delete(key: string): void {
    this.counts.delete(key);
  }

  /** @param key must not be in the map */
  private begin(key: string): Count {
    const now = performance.now();
    if (now >= this.forgetAt || this.counts.size >= this.maxKeys) this.forget(now);
    const begun = { count: 1, endsAt: now + this.limit.seconds * 1000 };
    this.counts.set(key, begun);
    return begun;
  }

  /** Removes the expired keys, and if there are too many others, the oldest hundredth of them. */
  private forget(now: number): void {
    const kept = this.counts.size < this.maxKeys ? this.maxKeys : Math.floor(this.maxKeys * 0.99);
    let left = forgottenAtOnce;
    for (const [key, { endsAt }] of this.counts) {
      if (endsAt > now && this.counts.size <= kept) break;
      // The next insert removes more.
      if (left === 0) return;
      this.counts.delete(key);
      left -= 1;
    }
    // A hundredth of the limit's time.
    this.forgetAt = now + this.limit.seconds * 10;
  }
}
