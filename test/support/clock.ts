import { onTestFinished, vi } from 'vitest';
import { until } from './until.js';

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

/** Holds back all timers of this duration that are set before the test ends. */
export function holdTimers(ms: number) {
  const { setTimeout: set, clearTimeout: clear } = globalThis;
  const held = new Map<unknown, () => void>();
  const setting = vi.spyOn(globalThis, 'setTimeout').mockImplementation(((
    run: () => void,
    delay?: number,
    ...more: unknown[]
  ) => {
    if (delay !== ms) return set(run, delay, ...more);
    const timer = set(() => {}, 0);
    held.set(timer, run);
    return timer;
  }) as typeof setTimeout);
  const clearing = vi.spyOn(globalThis, 'clearTimeout').mockImplementation((timer) => {
    held.delete(timer);
    clear(timer);
  });
  onTestFinished(() => {
    setting.mockRestore();
    clearing.mockRestore();
  });
  return {
    /** Resolves when this many are held back. */
    held: (count: number) => until(() => Promise.resolve(held.size === count)),
    /** Fires this many, by default all, in the order in which they were set. */
    fire: (count = held.size) => {
      const due = [...held].slice(0, count);
      for (const [timer] of due) held.delete(timer);
      for (const [, run] of due) run();
    },
  };
}
