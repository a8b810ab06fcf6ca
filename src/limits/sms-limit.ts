import { createHmac, randomBytes } from 'node:crypto';
import type { LimitsConfig } from '../config/config.js';
import type { Outcome } from '../errors.js';
import type { Failure } from '../failure.js';
import { failureOf } from '../failures.js';
import { authenticKeyOf, type Caller, type KnownCallers } from './callers.js';
import type { GuessLimit } from './guess-limit.js';
import { refusal, type Reservation, type Reservations } from './reservations.js';
import { budgetOf, historyKind, type Budget, type History, type HistoryKind, type LimitedCall } from './store.js';

/** An SMS that is about to be sent. */
export interface Sms {
  userId: string;
  /** In E.164 format. */
  number: string;
  /** The number's country: an ISO 3166 code, or `001`. */
  country: string;
}

/** The name of the budget for all countries together. */
export const allCountries = 'all';

/** The longest that a caller waits in line. */
const maxWaitMs = 2_000;

/** Limits how often an SMS may be sent to one user, to one number, and to all users together. */
export class SmsLimit {
  private readonly users: HistoryKind;
  private readonly numbers: HistoryKind;
  private hashKeys: readonly (string | Buffer)[];
  private readonly budgets: readonly Budget[];
  private readonly isOn: boolean;

  /** @param onBudgetFull called each time a full budget refuses an SMS */
  constructor(
    private readonly reservations: Reservations,
    private readonly known: KnownCallers,
    private readonly guesses: GuessLimit,
    config: LimitsConfig,
    private readonly onBudgetFull: (budget: Budget, opensInMs: number) => void,
  ) {
    this.users = historyKind('user', config.smsLimits);
    this.numbers = historyKind('number', config.smsLimitsPerNumber);
    // With a random key, each process has its own hashes, so it limits numbers on its own.
    this.hashKeys = config.phoneHashKeys ?? [randomBytes(32)];
    this.budgets = config.smsBudgets.map(({ country = allCountries, limit }) => budgetOf(country, limit));
    this.isOn = config.smsLimits.length + config.smsLimitsPerNumber.length + config.smsBudgets.length > 0;
  }

  /**
   * Makes a call that sends an SMS, if all limits allow it.
   *
   * @param caller must have read the user, so their token is authentic
   * @param leftMs how long the call may wait before it starts
   * @returns the call's answer, and when another SMS may be sent to the user: null if there are no limits per user
   * @throws {Failure} RATE_LIMITED without making the call, or the failure of the call
   */
  async run<Answer>(
    sms: Sms,
    caller: Caller,
    leftMs: number,
    call: () => Promise<Answer>,
    outcomeOf: (failure?: Failure) => Outcome,
  ): Promise<{ answer: Answer; opensAt: Date | null }> {
    this.known.noteAuthenticated(caller);
    const limitedCall = this.limitedCallFor(sms);
    const reservation = await this.reserve(limitedCall, sms, caller, leftMs);
    const settle = (outcome: Outcome, cleared: readonly History[]) => {
      const settlements = limitedCall.histories.map(() => (outcome === 'NOT_DONE' ? 'remove' : 'keep'));
      return reservation ? reservation.settle(settlements, cleared) : this.reservations.clear(cleared);
    };
    let answer: Answer;
    try {
      answer = await call();
    } catch (error) {
      const failure = failureOf(error);
      if (failure.verdict.code === 'FORBIDDEN') this.known.noteRefused(caller, sms.userId);
      await settle(outcomeOf(failure), []);
      throw error;
    }
    this.known.noteAccepted(caller, sms.userId);
    // The caller's earlier guesses were for another code.
    const [ofUser] = await settle(outcomeOf(), this.guesses.historiesOf(sms.userId, caller));
    return { answer, opensAt: this.users.limits.length > 0 && ofUser ? inMs(ofUser.opensInMs) : null };
  }

  /** @param hashKeys counts numbers under each of these from now on */
  rotate(hashKeys: readonly string[]): void {
    this.hashKeys = hashKeys;
  }

  /** When another SMS may be sent to each of these users, by the limits per user only; null if one may be sent now. */
  async opensAt(userIds: readonly string[]): Promise<(Date | null)[]> {
    if (this.users.limits.length === 0) return userIds.map(() => null);
    const standings = await this.reservations.standings(userIds.map((id) => ({ kind: this.users, id })));
    return standings.map(({ opensInMs }) => (opensInMs > 0 ? inMs(opensInMs) : null));
  }

  private limitedCallFor({ userId, number, country }: Sms): LimitedCall {
    const histories: History[] = [{ kind: this.users, id: userId }];
    for (const key of this.numbers.limits.length > 0 ? this.hashKeys : []) {
      const id = createHmac('sha256', key).update(number).digest('base64url');
      histories.push({ kind: this.numbers, id, user: userId });
    }
    return { histories, budgets: this.budgets.filter(({ name }) => name === allCountries || name === country) };
  }

  /** @returns undefined if there are no limits */
  private async reserve(
    limitedCall: LimitedCall,
    { userId }: Sms,
    caller: Caller,
    leftMs: number,
  ): Promise<Reservation | undefined> {
    if (!this.isOn) return undefined;
    const result = await this.reservations.reserve(limitedCall, {
      callerKey: authenticKeyOf(caller),
      rank: this.known.rankOf(caller, userId),
      isGone: () => caller.isGone(),
      maxMs: Math.min(leftMs, maxWaitMs),
    });
    if (result.is === 'reserved') return result;
    const budget = limitedCall.budgets[result.index - limitedCall.histories.length];
    if (budget && result.is === 'full') this.onBudgetFull(budget, result.opensInMs);
    const reason = budget ? 'SMS_BUDGET' : result.index === 0 ? 'SMS_TO_USER' : 'SMS_TO_NUMBER';
    throw refusal(reason, result);
  }
}

/** The time that is `ms` milliseconds from now, rounded up. */
function inMs(ms: number): Date {
  return new Date(Math.ceil(Date.now() + ms));
}
