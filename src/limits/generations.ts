/**
 * A map whose entries expire some time after they were last set. It has two generations, and drops the older one as a whole. So it needs no
 * timer per key, and never has to iterate a Map from its start, which gets slow as deleted entries pile up there.
 */
export class Generations<Value> {
  private young = new Map<string, Value>();
  private old = new Map<string, Value>();
  private rotatesAt = 0;

  /**
   * @param keepMs the minimum time to keep a value; the maximum is twice that
   * @param maxKeys per generation; one more key drops the older generation early
   */
  constructor(
    private readonly keepMs: number,
    private readonly maxKeys: number,
  ) {}

  get(key: string): Value | undefined {
    return this.young.get(key) ?? this.old.get(key);
  }

  set(key: string, value: Value): void {
    const now = performance.now();
    if (now >= this.rotatesAt || (this.young.size >= this.maxKeys && !this.young.has(key))) {
      // If nothing was set for that long, both generations have expired.
      this.old = now >= this.rotatesAt + this.keepMs ? new Map<string, Value>() : this.young;
      this.young = new Map();
      this.rotatesAt = now + this.keepMs;
    }
    this.young.set(key, value);
  }

  delete(key: string): void {
    this.young.delete(key);
    this.old.delete(key);
  }
}
