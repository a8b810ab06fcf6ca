import type { Gate, Outcome, Permit } from './checkpoint.js';
import type { Redis } from './redis.js';

const open: Permit = { settle: () => Promise.resolve(0) };

/** A gate that counts in Redis, and admits everything while Redis is down. */
export class SharedGate implements Gate {
  constructor(
    private readonly redis: Redis,
    private readonly gate: Gate,
  ) {}

  async admit(userId: string, callerKey: string): Promise<Permit> {
    if (this.redis.state === 'down') return open;
    const permit = await this.redis.ask(() => this.gate.admit(userId, callerKey));
    return { settle: (outcome) => this.settle(permit, outcome, userId, callerKey) };
  }

  /** @param permit undefined if there was no answer: Redis may hold the call anyway */
  private async settle(permit: Permit | undefined, outcome: Outcome, userId: string, callerKey: string) {
    const release = async () => {
      await this.gate.release?.(userId, callerKey);
      return 0;
    };
    const opensAt = await this.redis.ask(() => permit?.settle(outcome) ?? release());
    if (opensAt === undefined) this.redis.whenBack(release);
    return opensAt ?? 0;
  }
}
