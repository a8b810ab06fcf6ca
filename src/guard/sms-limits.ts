import type { RateLimiterAbstract } from 'rate-limiter-flexible';
import type { Limit } from '../config.js';
import { LimitReached, type Gate, type Outcome, type Permit } from './checkpoint.js';
import { countOf, opensAt, take, type Count, type CreateLimiter } from './counts.js';

/** A window of time: by user, what was sent; by caller and user, what may have been. */
interface Window {
  limit: Limit;
  sent: RateLimiterAbstract;
  unknown: RateLimiterAbstract;
}

/**
 * How often an SMS may be sent to one user. A caller holds the user while his call is under way, and nothing is counted before ZITADEL
 * has answered it: so whom ZITADEL refuses can neither use up nor hold what the user's own callers have.
 *
 * With three windows, a call takes nine operations of the store: five at once before it, four at once after it.
 */
export class SmsLimits implements Gate {
  private readonly windows: readonly Window[];
  private readonly holds: RateLimiterAbstract;
  /** Whether anything of a caller is unknown, which of hardly any is. */
  private readonly unknowns: RateLimiterAbstract;
  private readonly shortestMs: number;
  private readonly longestSeconds: number;

  /** @param holdSeconds longer than any call takes */
  constructor(create: CreateLimiter, limits: readonly Limit[], holdSeconds: number) {
    const seconds = limits.map((limit) => limit.seconds);
    this.shortestMs = Math.min(...seconds) * 1000;
    this.longestSeconds = Math.max(...seconds);
    this.windows = limits.map((limit) => ({
      limit,
      sent: create(`sms-sent-${limit.seconds}s`, limit),
      unknown: create(`sms-unknown-${limit.seconds}s`, limit),
    }));
    this.holds = create('sms-hold', { count: 1, seconds: holdSeconds });
    this.unknowns = create('sms-unknown', { count: 1, seconds: this.longestSeconds });
  }

  async admit(userId: string, callerKey: string): Promise<Permit> {
    const key = keyOf(userId, callerKey);
    // A store keeps this order: who gets the hold reads all that was counted before it was free.
    const [hold, anyUnknown, ...sent] = await Promise.all([
      take(this.holds, key),
      this.unknowns.get(key).then(countOf),
      ...this.windows.map((window) => window.sent.get(userId).then(countOf)),
    ]);
    if (!hold.isTaken) throw new LimitReached('SMS_LIMITS', Date.now() + this.shortestMs);

    const unknown = anyUnknown.count > 0 ? await this.readUnknown(key) : [];
    const refusedUntil = this.opensAt(sent, unknown);
    if (refusedUntil > 0) {
      await this.holds.delete(key);
      throw new LimitReached('SMS_LIMITS', refusedUntil);
    }
    return { settle: (outcome) => this.settle(outcome, userId, key, unknown) };
  }

  release(userId: string, callerKey: string): Promise<unknown> {
    return this.holds.delete(keyOf(userId, callerKey));
  }

  private async settle(outcome: Outcome, userId: string, key: string, unknown: readonly Count[]): Promise<number> {
    const counted = this.count(outcome, userId, key);
    // The hold is the last to go.
    const [sent] = await Promise.all([counted, this.holds.delete(key)]);
    return this.opensAt(sent, unknown);
  }

  /** @returns what is counted as sent now, by window */
  private async count(outcome: Outcome, userId: string, key: string): Promise<Count[]> {
    switch (outcome) {
      case 'COUNTS':
        return Promise.all(this.windows.map(({ sent }) => sent.penalty(userId).then(countOf)));
      case 'UNKNOWN':
        await Promise.all([
          ...this.windows.map((window) => window.unknown.penalty(key)),
          // Anew each time, so that it is there as long as any of them.
          this.unknowns.set(key, 1, this.longestSeconds),
        ]);
        return [];
      case 'COUNTS_NOT':
        return [];
    }
  }

  private readUnknown(key: string): Promise<Count[]> {
    return Promise.all(this.windows.map((window) => window.unknown.get(key).then(countOf)));
  }

  /** When all windows allow one more; 0 if they do now. */
  private opensAt(sent: readonly Count[], unknown: readonly Count[]): number {
    const counts = (index: number) => [sent[index], unknown[index]].filter((count) => count !== undefined);
    return Math.max(...this.windows.map(({ limit }, index) => opensAt(limit, counts(index))));
  }
}

function keyOf(userId: string, callerKey: string): string {
  return `${callerKey}:${userId}`;
}
