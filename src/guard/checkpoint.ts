/** A limit is reached. */
export class LimitReached extends Error {
  override readonly name = 'LimitReached';

  /**
   * @param limit the variable that sets it
   * @param opensAt when it will allow one more, on the clock of `performance.now()`
   */
  constructor(
    readonly limit: 'SMS_LIMITS' | 'SMS_BUDGET' | 'VERIFY_LIMIT',
    private readonly opensAt: number,
  ) {
    super(`${limit} is reached`);
  }

  /** Seconds from now, rounded up. */
  get retryAfter(): number {
    return Math.max(1, Math.ceil((this.opensAt - performance.now()) / 1000));
  }
}

/** The outcome of a call: it counts, it does not, or it is unknown whether it was carried out. */
export type Outcome = 'COUNTS' | 'COUNTS_NOT' | 'UNKNOWN';

/** The limits, as counted in one store. */
export interface Gate {
  /**
   * Admits a call.
   *
   * @throws {LimitReached} without leaving any trace in the store
   */
  admit(userId: string, callerKey: string): Promise<Permit>;
  /** Releases the in-flight hold of a call if the store failed to answer during `admit` or `settle`. */
  release?(userId: string, callerKey: string): Promise<unknown>;
}

/** An admitted call. */
export interface Permit {
  /** @returns when the limits will allow another call, on the clock of `performance.now()`; 0 if they do now */
  settle(outcome: Outcome): Promise<number>;
}

/** Makes a call if all gates admit it, and reports its outcome to each of them. */
export class Checkpoint {
  /** @param gates asked in this order, so put the cheapest first */
  constructor(private readonly gates: readonly Gate[]) {}

  /**
   * @param outcomeOf the outcome of the call, given its error if it failed
   * @returns the call's answer, and when another call will be admitted: null if there are no limits
   * @throws {LimitReached} without making the call
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

/** Converts a time of `performance.now()` to a date, rounding up; now if it has passed. */
function dateOf(moment: number): Date {
  return new Date(Math.ceil(Date.now() + Math.max(0, moment - performance.now())));
}
