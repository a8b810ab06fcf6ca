import type { Limit } from '../config.js';

/**
 * What was counted under a key, and when that ends, by `performance.now()`: the clock on the wall may be set back or forward, and every
 * limit with it.
 */
export interface Count {
  readonly count: number;
  readonly endsAt: number;
}

export const nothing: Count = { count: 0, endsAt: 0 };

type Awaitable<Value> = Value | Promise<Value>;

/** Counts for one limit in one store. What is counted under a key ends the seconds of the limit after it began. */
export interface Counter {
  get(key: string): Awaitable<Count>;
  /** Counts one more. */
  add(key: string): Awaitable<Count>;
  /** Begins anew with one. */
  restart(key: string): Awaitable<unknown>;
  delete(key: string): Awaitable<unknown>;
}

/** Makes the counter of a limit in one store. */
export type CreateCounter = (name: string, limit: Limit) => Counter;

/** Like `Promise.all`, but does not wait for values that are there already. */
export function all<Values extends readonly unknown[]>(values: readonly [...Values]): Awaitable<AwaitedOf<Values>> {
  const isPromise = (value: unknown) => value instanceof Promise;
  return (values.some(isPromise) ? Promise.all(values) : values) as Awaitable<AwaitedOf<Values>>;
}

type AwaitedOf<Values extends readonly unknown[]> = { -readonly [Index in keyof Values]: Awaited<Values[Index]> };

/** When a limit on the sum of the two allows one more, by `performance.now()`; 0 if it does now. */
export function opensAt(limit: Limit, one: Count = nothing, other: Count = nothing): number {
  const sum = one.count + other.count;
  if (sum < limit.count) return 0;
  const [first, last] = one.endsAt < other.endsAt ? [one, other] : [other, one];
  return sum - first.count < limit.count ? first.endsAt : last.endsAt;
}
