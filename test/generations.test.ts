import { expect, test } from 'vitest';
import { Generations } from '../src/limits/generations.js';
import { stopClock } from './support/clock.js';

test('keeps a value for at least its time, and for at most twice that if others are set', () => {
  const clock = stopClock();
  const generations = new Generations<string>(10_000, 100);

  generations.set('first', 'a');
  clock.move(9.999);
  generations.set('second', 'b');
  expect([generations.get('first'), generations.get('second')]).toEqual(['a', 'b']);

  // Now the generation of both turns old, though the second has only just been set.
  clock.move(0.001);
  generations.set('third', 'c');
  clock.move(9.998);
  generations.set('fourth', 'd');
  expect([generations.get('first'), generations.get('second')]).toEqual(['a', 'b']);

  clock.move(0.002);
  generations.set('fifth', 'e');
  expect(['first', 'second', 'third', 'fourth', 'fifth'].map((key) => generations.get(key))).toEqual([
    ...[undefined, undefined],
    ...['c', 'd', 'e'],
  ]);
});

test('forgets everything that is too old, even if nothing was set for long', () => {
  const clock = stopClock();
  const generations = new Generations<string>(10_000, 100);
  generations.set('first', 'a');
  clock.move(10);
  generations.set('second', 'b');

  clock.move(20);
  generations.set('third', 'c');

  expect(['first', 'second', 'third'].map((key) => generations.get(key))).toEqual([undefined, undefined, 'c']);
});

test('keeps a value that is set again from then on, and nothing of one that is deleted', () => {
  const clock = stopClock();
  const generations = new Generations<number>(10_000, 100);
  generations.set('one', 1);
  clock.move(10);
  generations.set('one', 2);
  expect(generations.get('one')).toBe(2);

  clock.move(10);
  generations.set('another', 0);
  expect(generations.get('one')).toBe(2);

  generations.set('one', 3);
  // From both generations: the old value must not show again.
  generations.delete('one');
  expect([generations.get('one'), generations.get('another')]).toEqual([undefined, 0]);
});

test('drops nothing when a known key is set again in a full generation', () => {
  const generations = new Generations<number>(10_000, 2);
  for (const key of ['one', 'two', 'three', 'four']) generations.set(key, 1);

  generations.set('four', 2);

  expect(['one', 'two', 'three', 'four'].map((key) => generations.get(key))).toEqual([1, 1, 1, 2]);
});

test('keeps at most two full generations: those of the latest keys', () => {
  stopClock();
  const generations = new Generations<number>(10_000, 3);
  const keys = [...Array(8).keys()].map(String);
  for (const [index, key] of keys.entries()) generations.set(key, index);

  expect(keys.filter((key) => generations.get(key) !== undefined)).toEqual(['3', '4', '5', '6', '7']);
});
