import { onTestFinished, vi } from 'vitest';

/** Stops the clocks of this process until the test ends, and moves them by hand. Timers are not affected: deadlines pass as usual. */
export function stopClock() {
  vi.useFakeTimers({ toFake: ['Date', 'performance'], now: Date.parse('2026-01-02T03:04:05Z') });
  onTestFinished(() => void vi.useRealTimers());
  return {
    move: (seconds: number) => void vi.advanceTimersByTime(seconds * 1000),
    /** Sets only the system clock, as NTP and administrators do. */
    setDate: (date: number) => void vi.setSystemTime(date),
    /** The time this many seconds from now. */
    in: (seconds: number) => new Date(Date.now() + seconds * 1000).toISOString(),
  };
}
