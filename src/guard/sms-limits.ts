import type { Limit } from '../config.js';
import { LimitReached, type Gate, type Outcome, type Permit } from './checkpoint.js';
import { all, opensAt, type Count, type Counter, type CreateCounter } from './counts.js';

/** A window of time: by user, what was sent; by caller and user, what may have been. */
interface Window {
  limit: Limit;
  sent: Counter;
  unknown: Counter;
}

/**
 * How often an SMS may be sent to one user. A caller holds the user while his call is under way, and nothing is counted before ZITADEL
 * has answered it: so whom ZITADEL refuses can neither use up nor hold what the user's own callers have.
 *
 * With three windows, a call takes nine operations of the store: five at once before it, four at once after it.
 */
export class SmsLimits implements Gate {
  private readonly windows: readonly Window[];
  private readonly holds: Counter;
  /** Whether anything of a caller is unknown, which of hardly any is. */
  private readonly unknowns: Counter;
  private readonly shortestMs: number;
  private readonly longestSeconds: number;

  /** @param holdSeconds longer than any call takes */
  constructor(create: CreateCounter, limits: readonly Limit[], holdSeconds: number) {
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
    const [hold, anyUnknown, ...sent] = await all([
      this.holds.add(key),
      this.unknowns.get(key),
      ...this.windows.map((window) => window.sent.get(userId)),
    ]);
    if (hold.count > 1) throw new LimitReached('SMS_LIMITS', performance.now() + this.shortestMs);

    const unknown = anyUnknown.count > 0 ? await all(this.windows.map((window) => window.unknown.get(key))) : [];
    const refusedUntil = this.opensAt(sent, unknown);
    if (refusedUntil > 0) {
      await this.holds.delete(key);
      throw new LimitReached('SMS_LIMITS', refusedUntil);
    }
    return { settle: (outcome) => this.settle(outcome, userId, key, unknown) };
  }

  async release(userId: string, callerKey: string): Promise<void> {
    await this.holds.delete(keyOf(userId, callerKey));
  }

  private async settle(outcome: Outcome, userId: string, key: string, unknown: readonly Count[]): Promise<number> {
    const counting = outcome === 'COUNTS' ? this.windows.map(({ sent }) => sent.add(userId)) : [];
    const noting = outcome === 'UNKNOWN' ? this.note(key) : [];
    // The hold is the last to go.
    await all([...counting, ...noting, this.holds.delete(key)]);
    return this.opensAt(await all(counting), unknown);
  }

  /** That an SMS may have been sent. */
  private note(key: string): unknown[] {
    // The latter anew each time, so that it is there as long as any of them.
    return [...this.windows.map((window) => window.unknown.add(key)), this.unknowns.restart(key)];
  }

  /** When all windows allow one more; 0 if they do now. */
  private opensAt(sent: readonly Count[], unknown: readonly Count[]): number {
    return Math.max(...this.windows.map(({ limit }, index) => opensAt(limit, sent[index], unknown[index])));
  }
}

function keyOf(userId: string, callerKey: string): string {
  return `${callerKey}:${userId}`;
}
