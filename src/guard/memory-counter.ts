import type { Limit } from '../config.js';
import { nothing, type Count, type Counter } from './counts.js';

/** Expired keys removed per insert: more than one, so removal keeps up; few, so no request is slowed down. */
const forgottenAtOnce = 4;

/**
 * Counts in the memory of this process. All keys share one TTL and restarted keys are re-inserted, so Map order is expiry order. This
 * avoids a timer per key, which would take most of the time and memory.
 */
export class MemoryCounter implements Counter {
  private readonly counts = new Map<string, Count>();
  /** A lower bound: no key expires before this. */
  private nextEndsAt = 0;

  /** @param maxKeys if there are more, the oldest are removed early */
  constructor(
    private readonly limit: Limit,
    private readonly maxKeys = 1_000_000,
  ) {}

  /** The number of keys, including expired ones not yet removed. */
  get size(): number {
    return this.counts.size;
  }

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
    if (now >= this.nextEndsAt || this.counts.size >= this.maxKeys) this.forget(now);
    const begun = { count: 1, endsAt: now + this.limit.seconds * 1000 };
    this.counts.set(key, begun);
    return begun;
  }

  private forget(now: number): void {
    let left = forgottenAtOnce;
    for (const [key, { endsAt }] of this.counts) {
      this.nextEndsAt = endsAt;
      if (left === 0 || (endsAt > now && this.counts.size < this.maxKeys)) return;
      this.counts.delete(key);
      left -= 1;
    }
    this.nextEndsAt = 0;
  }
}
