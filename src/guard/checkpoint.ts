/** A limit allows no more for now. */
export class LimitReached extends Error {
  override readonly name = 'LimitReached';

  /**
   * @param limit the variable that sets it
   * @param opensAt when it allows one more, by `performance.now()`
   */
  constructor(
    readonly limit: 'SMS_LIMITS' | 'SMS_BUDGET' | 'VERIFY_LIMIT',
    private readonly opensAt: number,
  ) {
    super(`${limit} allows no more for now`);
  }

  /** Seconds from now, rounded up. */
  get retryAfter(): number {
    return Math.max(1, Math.ceil((this.opensAt - performance.now()) / 1000));
  }
}

/** What became of a call: it counts, it does not, or nobody knows whether it was carried out. */
export type Outcome = 'COUNTS' | 'COUNTS_NOT' | 'UNKNOWN';

/** Limits as one store counts them. */
export interface Gate {
  /**
   * Lets a call begin.
   *
   * @throws {LimitReached} and leaves nothing behind
   */
  admit(userId: string, callerKey: string): Promise<Permit>;
  /** Takes back what a call holds only while it is under way, in case the store did not answer when that came or went. */
  release?(userId: string, callerKey: string): Promise<unknown>;
}

/** A call that has begun. */
export interface Permit {
  /** @returns when the limits allow another one, by `performance.now()`; 0 if they do now */
  settle(outcome: Outcome): Promise<number>;
}

/** Lets a call pass if all gates do, and tells each of them what became of it. */
export class Checkpoint {
  /** @param gates asked one after the other, so the cheapest comes first */
  constructor(private readonly gates: readonly Gate[]) {}

  /**
   * @param outcomeOf what became of the call, from its error if it has one
   * @returns the call's answer, and when another one may pass: null if there are no limits
   * @throws {LimitReached} the call is not made then
   */
  async pass<Answer>(
    userId: string,
    callerKey: string,
    call: () => Promise<Answer>,
    outcomeOf: (error?: unknown) => Outcome,
  ): Promise<{ answer: Answer; opensAt: Date | null }> {
    const permits: Permit[] = [];
    const settle = (outcome: Outcome) => Promise.all(permits.map((permit) => permit.settle(outcome)));
    try {
      for (const gate of this.gates) permits.push(await gate.admit(userId, callerKey));
    } catch (error) {
      await settle('COUNTS_NOT');
      throw error;
    }

    let answer: Answer;
    try {
      answer = await call();
    } catch (error) {
      await settle(outcomeOf(error));
      throw error;
    }
    const open = await settle(outcomeOf());
    return { answer, opensAt: open.length > 0 ? dateOf(Math.max(...open)) : null };
  }
}

/** The date of a moment by `performance.now()`, not before it; now if it is over. */
function dateOf(moment: number): Date {
  return new Date(Math.ceil(Date.now() + Math.max(0, moment - performance.now())));
}
