import { expect, test } from 'vitest';
import { MemoryCounter } from '../src/guard/memory-counter.js';
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

test('removes expired keys while it counts others', () => {
  const clock = stopClock();
  const counter = new MemoryCounter({ count: 1, seconds: 30 });
  for (let key = 0; key < 100; key += 1) counter.add(`old${key}`);
  clock.move(10);
  counter.restart('old0');
  expect(counter.size).toBe(100);

  clock.move(20);
  for (let key = 0; key < 50; key += 1) counter.add(`new${key}`);

  expect(counter.size).toBe(51);
  expect(counter.get('old0').count).toBe(1);
});

test('removes the oldest keys if there are too many', () => {
  const clock = stopClock();
  const counter = new MemoryCounter({ count: 1, seconds: 30 }, 3);
  for (const key of ['a', 'b', 'c', 'a', 'd', 'e']) {
    counter.add(key);
    clock.move(1);
  }

  expect(counter.size).toBe(3);
  expect([counter.get('c').count, counter.get('d').count, counter.get('e').count]).toEqual([1, 1, 1]);
});
