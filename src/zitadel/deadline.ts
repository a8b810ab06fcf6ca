/** The time that all calls for one field of an operation share. */
export class Deadline {
  private readonly beganAt = performance.now();

  constructor(private readonly totalMs: number) {}

  /** At least 1 ms: Node.js warns of a timer that is set in the past. */
  get leftMs(): number {
    return Math.max(1, this.totalMs - this.elapsedMs);
  }

  /** How long a write may still wait to start: a late one would only add to the writes whose outcome nobody knows. */
  get leftToStartMs(): number {
    return Math.max(1, this.totalMs / 2 - this.elapsedMs);
  }

  get hasPassed(): boolean {
    return this.elapsedMs >= this.totalMs;
  }

  get isTooLateToStart(): boolean {
    return this.elapsedMs > this.totalMs / 2;
  }

  private get elapsedMs(): number {
    return performance.now() - this.beganAt;
  }
}
