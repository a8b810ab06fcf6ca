import type { Limit } from '../config.js';
import type { ErrorReason, Outcome } from '../errors.js';
import { Failure } from '../failure.js';
import { opensAt, type Count, type Counter, type CreateCounter } from './counters.js';

/** Enforces limits, as counted in one store. */
export interface Limiter {
  /**
   * Allows a call, and counts it as in flight.
   *
   * @throws {Failure} RATE_LIMITED, without leaving any trace in the store
   */
  reserve(userId: string, callerKey: string): Promise<Reservation>;
  /** Releases what a call in flight holds, if the store failed to answer during `reserve` or `settle`. */
  release?(userId: string, callerKey: string): Promise<unknown>;
}

/** A call that was allowed. */
export interface Reservation {
  /**
   * @param outcome whether the call did what is limited
   * @returns when the limits will allow another call, on the clock of `performance.now()`; 0 if they do now
   */
  settle(outcome: Outcome): Promise<number>;
}

/** @param opensAt when the limit will allow one more, on the clock of `performance.now()`; at the latest in a second if left out */
function limited(reason: ErrorReason<'RATE_LIMITED'>, opensAt = 0): Failure {
  const retryAfter = Math.max(1, Math.ceil((opensAt - performance.now()) / 1000));
  return new Failure({ code: 'RATE_LIMITED', reason }, { retryAfter });
}

/** One limit: SMS sent, by user; SMS that may have been sent, by caller and user. */
interface Window {
  limit: Limit;
  sent: Counter;
  unknown: Counter;
}

/**
 * Limits how often an SMS may be sent to one user. A caller holds the user while their call is in flight, for themselves only, and nothing
 * is counted before ZITADEL has answered. So a caller that ZITADEL rejects can neither use up the limit nor block other callers.
 *
 * With three windows, a call takes nine store operations: five in parallel before it, and four in parallel after it.
 */
export class SmsLimiter implements Limiter {
  private readonly windows: readonly Window[];
  private readonly holds: Counter;
  /** Set only for callers with an unknown outcome (rare), so that other callers skip those lookups. */
  private readonly unknowns: Counter;
  private readonly longestSeconds: number;

  /** @param holdSeconds longer than any call can take */
  constructor(create: CreateCounter, limits: readonly Limit[], holdSeconds: number) {
    this.longestSeconds = Math.max(...limits.map((limit) => limit.seconds));
    this.windows = limits.map((limit) => ({
      limit,
      sent: create(`sms-sent-${limit.seconds}s`, limit),
      unknown: create(`sms-unknown-${limit.seconds}s`, limit),
    }));
    this.holds = create('sms-hold', { count: 1, seconds: holdSeconds });
    this.unknowns = create('sms-unknown', { count: 1, seconds: this.longestSeconds });
  }

  async reserve(userId: string, callerKey: string): Promise<Reservation> {
    const key = keyOf(userId, callerKey);
    // Stores run these in order, so a caller that gets the hold also reads everything counted before it was released.
    const [hold, anyUnknown, ...sent] = await Promise.all([
      this.holds.add(key),
      this.unknowns.get(key),
      ...this.windows.map((window) => window.sent.get(userId)),
    ]);
    if (hold.count > 1) throw limited('IN_PROGRESS');

    const readUnknown = async ({ unknown }: Window) => unknown.get(key);
    const unknown = anyUnknown.count > 0 ? await Promise.all(this.windows.map(readUnknown)) : [];
    const refusedUntil = this.opensAt(sent, unknown);
    if (refusedUntil > 0) {
      await this.holds.delete(key);
      throw limited('SMS_TO_USER', refusedUntil);
    }
    return { settle: (outcome) => this.settle(outcome, userId, key, unknown) };
  }

  async release(userId: string, callerKey: string): Promise<void> {
    await this.holds.delete(keyOf(userId, callerKey));
  }

  private async settle(outcome: Outcome, userId: string, key: string, unknown: readonly Count[]): Promise<number> {
    const counting = outcome === 'DONE' ? this.windows.map(async ({ sent }) => sent.add(userId)) : [];
    const noting = outcome === 'UNKNOWN' ? this.note(key) : [];
    // Release the hold last.
    await Promise.all([...counting, ...noting, this.holds.delete(key)]);
    return this.opensAt(await Promise.all(counting), unknown);
  }

  /** Notes that an SMS may have been sent. */
  private note(key: string): unknown[] {
    // Restarting the last one makes it outlive all of the others.
    return [...this.windows.map((window) => window.unknown.add(key)), this.unknowns.restart(key)];
  }

  /** When all windows will allow one more; 0 if they do now. */
  private opensAt(sent: readonly Count[], unknown: readonly Count[]): number {
    return Math.max(...this.windows.map(({ limit }, index) => opensAt(limit, sent[index], unknown[index])));
  }
}

const everyone = 'everyone';

/** Limits how many SMS may be sent to all users together. It counts sent SMS, so calls in flight may exceed it. */
export class SmsBudgetLimiter implements Limiter {
  private readonly sent: Counter;

  /** @param onSpent called when this store has counted the whole budget */
  constructor(
    create: CreateCounter,
    private readonly budget: Limit,
    private readonly onSpent: () => void,
  ) {
    this.sent = create(`sms-budget-${budget.seconds}s`, budget);
  }

  async reserve(): Promise<Reservation> {
    const refusedUntil = opensAt(this.budget, await this.sent.get(everyone));
    if (refusedUntil > 0) throw limited('SMS_BUDGET', refusedUntil);
    return {
      settle: async (outcome) => {
        if (outcome === 'NOT_DONE') return 0;
        const sent = await this.sent.add(everyone);
        if (sent.count === this.budget.count) this.onSpent();
        return opensAt(this.budget, sent);
      },
    };
  }
}

/** How long a guess with an unknown outcome keeps its place. An outage of ZITADEL must not lock out the right code for longer. */
const unknownSeconds = 60;

/**
 * Limits how many wrong codes one caller may try for one user. A guess takes one of a limited number of places before the call, so that
 * guesses in flight cannot exceed the limit. A wrong one keeps its place for the time of the limit, one with an unknown outcome for a
 * minute, and any other leaves immediately.
 */
export class GuessLimiter implements Limiter {
  /** Places of guesses in flight and of unknown outcome. */
  private readonly taken: Counter;
  private readonly wrong: Counter;

  /** @param holdSeconds longer than any call can take */
  constructor(
    create: CreateCounter,
    private readonly limit: Limit,
    holdSeconds: number,
  ) {
    const { seconds } = limit;
    this.taken = create(`guess-${seconds}s`, {
      count: 1,
      seconds: Math.max(holdSeconds, Math.min(unknownSeconds, seconds)),
    });
    this.wrong = create(`guess-wrong-${seconds}s`, { count: 1, seconds });
  }

  async reserve(userId: string, callerKey: string): Promise<Reservation> {
    let opensAt = Infinity;
    for (let place = 1; place <= this.limit.count; place += 1) {
      const key = `${callerKey}:${place}:${userId}`;
      // Stores run these in order, so a guess that takes a place also sees the wrong one that just left it.
      const [taken, wrong] = await Promise.all([this.taken.add(key), this.wrong.get(key)]);
      if (taken.count === 1 && wrong.count === 0)
        return { settle: (outcome) => this.settle(outcome, key, taken.endsAt) };
      if (taken.count === 1) await this.taken.delete(key);
      opensAt = Math.min(opensAt, wrong.count > 0 ? wrong.endsAt : taken.endsAt);
    }
    throw limited('WRONG_CODES', opensAt);
  }

  private async settle(outcome: Outcome, key: string, endsAt: number): Promise<number> {
    if (outcome === 'DONE') await this.wrong.add(key);
    // After that, the place may belong to another guess.
    if (outcome !== 'UNKNOWN' && performance.now() < endsAt) await this.taken.delete(key);
    return 0;
  }
}

function keyOf(userId: string, callerKey: string): string {
  return `${callerKey}:${userId}`;
}
