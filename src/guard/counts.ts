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

/** Like `Promise.all`, but synchronous if no value is a promise. */
export function all<Values extends readonly unknown[]>(values: readonly [...Values]): Awaitable<AwaitedOf<Values>> {
  const isPromise = (value: unknown) => value instanceof Promise;
  return (values.some(isPromise) ? Promise.all(values) : values) as Awaitable<AwaitedOf<Values>>;
}

type AwaitedOf<Values extends readonly unknown[]> = { -readonly [Index in keyof Values]: Awaited<Values[Index]> };

/** When a limit on the sum of the two counts will allow one more, on the clock of `performance.now()`; 0 if it does now. */
export function opensAt(limit: Limit, one: Count = nothing, other: Count = nothing): number {
  const sum = one.count + other.count;
  if (sum < limit.count) return 0;
  const [first, last] = one.endsAt < other.endsAt ? [one, other] : [other, one];
  return sum - first.count < limit.count ? first.endsAt : last.endsAt;
}
