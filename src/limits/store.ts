import type { Limit } from '../config/config.js';

/**
 * The types that the two stores share. Both have two atomic steps: `reserve` before a limited call, and `settle` after it.
 *
 * A history is a short sorted list of times: when SMS were sent to a user, for example. A reservation is a time in the future: the latest
 * moment at which its call can still have an effect. If the process crashes, that time stays, and counts. Only budgets have other state: see
 * docs/limits.md.
 */

/** Histories with the same limits, such as those of all users. */
export interface HistoryKind {
  /** Follows the prefix in their Redis keys. */
  readonly name: string;
  /** Sorted by duration, and each longer one allows more. If there are none, a history holds only the calls in flight. */
  readonly limits: readonly Limit[];
  /** The duration of the last limit, or 0. A history holds no older times. */
  readonly longestMs: number;
  /** The count of the last limit, or 0. A history holds no more settled times. */
  readonly largestCount: number;
}

export function historyKind(name: string, limits: readonly Limit[]): HistoryKind {
  const { count, seconds } = limits.at(-1) ?? { count: 0, seconds: 0 };
  return { name, limits, longestMs: seconds * 1000, largestCount: count };
}

export interface History {
  readonly kind: HistoryKind;
  /** For example, the id of a user. */
  readonly id: string;
  /** The user that the call is for. The first user with a call that counts here owns the history: only its shortest limit binds them. */
  readonly user?: string;
}

/** A limit on all users together. Its calls are counted in buckets of time, because a list of their times would be long. */
export interface Budget {
  readonly name: string;
  readonly count: number;
  /** The duration of one bucket. */
  readonly bucketMs: number;
}

/** A call counts until this many more buckets have ended. So it counts for at most one bucket, a sixtieth of the limit, too long. */
export const bucketsOfBudget = 60;

export function budgetOf(name: string, { count, seconds }: Limit): Budget {
  return { name, count, bucketMs: Math.ceil((seconds * 1000) / bucketsOfBudget) };
}

/** The histories and budgets that limit one call. */
export interface LimitedCall {
  readonly histories: readonly History[];
  readonly budgets: readonly Budget[];
}

export type ReserveResult =
  /** @param at the time of the reservation, which identifies it in this store */
  | { readonly is: 'reserved'; readonly at: number }
  /** @param index of the history or budget that opens last; the budgets come after the histories */
  | { readonly is: 'full'; readonly index: number; readonly opensInMs: number }
  /** Full only because of calls in flight. */
  | { readonly is: 'busy'; readonly index: number };

/** Whether a history or a budget allows another call. */
export interface Availability {
  /** How long until its settled calls allow one; 0 if they do now. */
  readonly opensInMs: number;
  /** Whether it is full if calls in flight count too. */
  readonly isBusy: boolean;
}

export const open: Availability = { opensInMs: 0, isBusy: false };

/** What a history allows now. */
export interface Standing {
  /** How long until it allows another call, if those in flight all count; 0 if it does now. */
  readonly opensInMs: number;
  readonly remaining: number;
  /** See `History.user`. */
  readonly owner?: string | undefined;
}

/** How to settle a reservation: keep its time for as long as the limits say, keep it for this many milliseconds, or remove it. */
export type Settlement = 'keep' | 'remove' | number;
