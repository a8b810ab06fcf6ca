import { expect, onTestFinished, test, vi } from 'vitest';
import { MemoryCounter } from '../src/limits/counters.js';
import { stopClock } from './support/clock.js';

const nothing = { count: 0, endsAt: 0 };

test('counts each key until it expires', () => {
  const clock = stopClock();
  const counter = new MemoryCounter({ count: 1, seconds: 30 });
  const endsAt = performance.now() + 30_000;

  expect([counter.add('a'), counter.add('a'), counter.get('a')]).toEqual([
    { count: 1, endsAt },
    { count: 2, endsAt },
    { count: 2, endsAt },
  ]);
  clock.move(29.999);
  expect(counter.get('a')).toEqual({ count: 2, endsAt });
  clock.move(0.001);
  expect(counter.get('a')).toEqual(nothing);
  expect(counter.add('a')).toEqual({ count: 1, endsAt: endsAt + 30_000 });
});

test('removes expired keys while it counts others, a thousand at a time', () => {
  const clock = stopClock();
  const counter = new MemoryCounter({ count: 1, seconds: 30 });
  const old = Array.from({ length: 2_500 }, (_, key) => `old${key}`);
  for (const key of old) counter.add(key);
  clock.move(10);
  counter.restart('old0');
  /** The old keys that it still stores. If the clock went back, those that have expired would count again. */
  const stored = () => {
    const before = vi.spyOn(performance, 'now').mockReturnValue(0);
    const keys = old.filter((key) => counter.get(key).count > 0);
    before.mockRestore();
    return keys;
  };
  onTestFinished(() => void vi.restoreAllMocks());
  expect(stored()).toEqual(old);

  clock.move(20);
  expect(stored()).toEqual(old);
  const left = ['new1', 'new2', 'new3'].map((key) => {
    counter.add(key);
    return stored();
  });

  expect(left).toEqual([['old0', ...old.slice(1_001)], ['old0', ...old.slice(2_001)], ['old0']]);
  expect(counter.get('old0').count).toBe(1);
});

test('removes the oldest keys if there are too many', () => {
  const clock = stopClock();
  const counter = new MemoryCounter({ count: 1, seconds: 30 }, 3);
  for (const key of ['a', 'b', 'c', 'a', 'd', 'e']) {
    counter.add(key);
    clock.move(1);
  }

  const counts = ['a', 'b', 'c', 'd', 'e'].map((key) => counter.get(key).count);
  expect(counts).toEqual([0, 0, 1, 1, 1]);
});
