import type { Limit } from '../config.js';
import { LimitReached, type Gate, type Outcome, type Permit } from './checkpoint.js';
import { all, opensAt, type Count, type Counter, type CreateCounter } from './counts.js';

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
export class SmsLimits implements Gate {
  private readonly windows: readonly Window[];
  private readonly holds: Counter;
  /** Set only for callers with an unknown outcome (rare), so that other callers skip those lookups. */
  private readonly unknowns: Counter;
  private readonly shortestMs: number;
  private readonly longestSeconds: number;

  /** @param holdSeconds longer than any call can take */
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
    // Stores run these in order, so a caller that gets the hold also reads everything counted before it was released.
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
    // Release the hold last.
    await all([...counting, ...noting, this.holds.delete(key)]);
    return this.opensAt(await all(counting), unknown);
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

function keyOf(userId: string, callerKey: string): string {
  return `${callerKey}:${userId}`;
}
