import { onTestFinished, vi } from 'vitest';

/** Stops the clock of this process until the test ends; it then goes by hand. Timers are not touched: deadlines pass as ever. */
export function stopClock() {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.parse('2026-01-02T03:04:05Z') });
  onTestFinished(() => void vi.useRealTimers());
  return {
    move: (seconds: number) => vi.setSystemTime(Date.now() + seconds * 1000),
    /** The moment so many seconds from now. */
    in: (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString(),
  };
}
