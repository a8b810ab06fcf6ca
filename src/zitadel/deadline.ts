/** The time limit that all calls for one field of an operation share. It starts when it is created. */
export class Deadline {
  private readonly beganAt = performance.now();

  constructor(private readonly totalMs: number) {}

  /**
   * @param share of the whole time, such as the first half
   * @returns the milliseconds that are left of it; 0 or less when it has passed
   */
  left(share = 1): number {
    return this.totalMs * share - (performance.now() - this.beganAt);
  }
}
