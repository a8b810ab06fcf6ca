import { bucketsOfBudget, open, type Budget, type Availability } from './store.js';

/** One budget's calls, in memory: how many were settled in each bucket, and how many reservations end in each second. */
export class BudgetCalls {
  private readonly settled = new Map<number, number>();
  private readonly inFlight = new Map<number, number>();

  constructor(private readonly budget: Budget) {}

  reserve(at: number): void {
    add(this.inFlight, Math.floor(at / 1000), 1);
  }

  release(at: number): void {
    const second = Math.floor(at / 1000);
    if (this.inFlight.has(second)) add(this.inFlight, second, -1);
  }

  settle(moment: number): void {
    add(this.settled, Math.floor(moment / this.budget.bucketMs), 1);
  }

  availability(now: number): Availability {
    const { count, bucketMs } = this.budget;
    const oldest = Math.floor(now / bucketMs) - bucketsOfBudget;
    const buckets: [bucket: number, calls: number][] = [];
    let inFlight = 0;
    for (const [bucket, calls] of this.settled) {
      if (bucket < oldest) this.settled.delete(bucket);
      else buckets.push([bucket, calls]);
    }
    for (const [second, calls] of this.inFlight) {
      const endsAt = (second + 1) * 1000;
      const bucket = Math.floor(endsAt / bucketMs);
      if (endsAt > now) inFlight += calls;
      else if (bucket < oldest) this.inFlight.delete(second);
      else buckets.push([bucket, calls]);
    }
    let excess = buckets.reduce((total, [, calls]) => total + calls, 0) - count;
    if (excess + inFlight < 0) return open;
    if (excess < 0) return { opensInMs: 0, isBusy: true };
    // All calls in a bucket stop counting together, once even the last one must have left the window.
    const [opening = oldest] =
      buckets.sort(([one], [other]) => one - other).find(([, calls]) => (excess -= calls) < 0) ?? [];
    return { opensInMs: (opening + bucketsOfBudget + 1) * bucketMs - now, isBusy: false };
  }
}

function add(counts: Map<number, number>, key: number, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
