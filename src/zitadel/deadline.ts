/** The time limit that all calls for one field of an operation share. */
export class Deadline {
  private readonly beganAt = performance.now();

  constructor(private readonly totalMs: number) {}

  /** At least 1 ms: Node.js warns about negative timeouts. */
  get leftMs(): number {
    return Math.max(1, this.totalMs - this.elapsedMs);
  }

  /** How long a write may still wait to start. A write that starts late is likely to time out with an unknown outcome. */
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
