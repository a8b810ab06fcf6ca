/** Slots for calls in flight, with a bounded queue. First come, first served. */
export class Slots {
  private readonly waiting = new Set<() => void>();

  constructor(
    private free: number,
    private readonly maxWaiting: number,
  ) {}

  /**
   * Takes a slot, or waits for one.
   *
   * @param waitMs how long to wait at most
   * @returns `full` immediately if too many are waiting already, and `late` when the time is up
   */
  take(waitMs: number): Promise<'taken' | 'full' | 'late'> {
    if (this.free > 0) {
      this.free -= 1;
      return Promise.resolve('taken');
    }
    if (this.waiting.size >= this.maxWaiting) return Promise.resolve('full');
    return new Promise((resolve) => {
      const give = () => {
        clearTimeout(timer);
        resolve('taken');
      };
      const timer = setTimeout(
        () => {
          this.waiting.delete(give);
          resolve('late');
        },
        Math.max(1, waitMs),
      );
      this.waiting.add(give);
    });
  }

  /** Passes a slot on, or frees it. */
  release(): void {
    const [next] = this.waiting;
    if (!next) {
      this.free += 1;
      return;
    }
    this.waiting.delete(next);
    next();
  }
}
