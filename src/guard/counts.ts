import type { RateLimiterAbstract, RateLimiterRes } from 'rate-limiter-flexible';
import type { Limit } from '../config.js';

/** Makes the counter of a limit in one store; its keys live for the seconds of the limit, from the first count on. */
export type CreateLimiter = (name: string, limit: Limit) => RateLimiterAbstract;

/** What was counted under a key, and when that ends, in milliseconds since the epoch. */
export interface Count {
  count: number;
  endsAt: number;
}

export function countOf(found: RateLimiterRes | null): Count {
  // What is kept in memory may be over, and not yet be gone.
  if (!found || found.msBeforeNext <= 0) return { count: 0, endsAt: 0 };
  return { count: found.consumedPoints, endsAt: Date.now() + found.msBeforeNext };
}

/** When a limit on the sum of these counts allows one more, in milliseconds since the epoch; 0 if it does now. */
export function opensAt(limit: Limit, counts: readonly Count[]): number {
  let sum = counts.reduce((total, { count }) => total + count, 0);
  let at = 0;
  for (const { count, endsAt } of counts.toSorted((one, other) => one.endsAt - other.endsAt)) {
    if (sum < limit.count) break;
    sum -= count;
    at = endsAt;
  }
  return at;
}

/** Takes one; tells whether it was still to be had, and what is counted then. */
export async function take(limiter: RateLimiterAbstract, key: string): Promise<Count & { isTaken: boolean }> {
  try {
    return { isTaken: true, ...countOf(await limiter.consume(key)) };
  } catch (refused) {
    // An Error is the store's; the limit itself refuses with what it has counted.
    if (refused instanceof Error) throw refused;
    return { isTaken: false, ...countOf(refused as RateLimiterRes) };
  }
}
