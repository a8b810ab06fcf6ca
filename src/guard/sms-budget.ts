import type { Limit } from '../config.js';
import { LimitReached, type Gate, type Permit } from './checkpoint.js';
import { opensAt, type Counter, type CreateCounter } from './counts.js';

const everyone = 'everyone';

/** Limits how many SMS may be sent to all users together. It counts sent SMS, so calls in flight may exceed it. */
export class SmsBudget implements Gate {
  private readonly sent: Counter;

  /** @param onSpent called when this store has counted the whole budget */
  constructor(
    create: CreateCounter,
    private readonly budget: Limit,
    private readonly onSpent: () => void,
  ) {
    this.sent = create(`sms-budget-${budget.seconds}s`, budget);
  }

  async admit(): Promise<Permit> {
    const refusedUntil = opensAt(this.budget, await this.sent.get(everyone));
    if (refusedUntil > 0) throw new LimitReached('SMS_BUDGET', refusedUntil);
    return {
      settle: async (outcome) => {
        if (outcome === 'COUNTS_NOT') return 0;
        const sent = await this.sent.add(everyone);
        if (sent.count === this.budget.count) this.onSpent();
        return opensAt(this.budget, sent);
      },
    };
  }
}
