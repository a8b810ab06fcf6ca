import { afterEach, expect, test, vi } from 'vitest';
import { CutOffError, shutDown, type Release } from '../src/process.js';
import { until } from './support/until.js';

afterEach(() => {
  vi.useRealTimers();
});

type Step = 'drain' | 'finish' | 'cut' | 'first' | 'second';

/** Shuts down a server with two resources. Individual steps can be replaced. */
function shutDownWith(special: Partial<Record<Step, Release>>) {
  const done: string[] = [];
  const step = (name: Step) => () => {
    done.push(name);
    return special[name]?.();
  };
  const releases = [step('first'), step('second')];
  const steps = { drain: step('drain'), finish: step('finish'), cut: step('cut'), releases };
  return { done, ended: shutDown({ delayMs: 0, timeoutMs: 1_000 }, steps) };
}

const hang = () => new Promise(() => {});
const fault = (message: string) => () => {
  throw new Error(message);
};

test('finishes requests in flight, then releases resources, the last one first', async () => {
  const { done, ended } = shutDownWith({});

  await ended;

  expect(done).toEqual(['drain', 'finish', 'second', 'first']);
});

test('does all other steps if one throws or rejects, and reports every failure', async () => {
  const { done, ended } = shutDownWith({
    drain: fault('not now'),
    finish: fault('no'),
    second: () => Promise.reject(new Error('never')),
  });

  await expect(ended).rejects.toMatchObject({
    errors: [{ message: 'not now' }, { message: 'no' }, { message: 'never' }],
  });
  expect(done).toEqual(['drain', 'finish', 'second', 'first']);
});

test('aborts requests in flight when their time is up, and still does the other steps', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  let abort = () => {};
  const finish = () => new Promise<void>((resolve) => (abort = resolve));
  const { done, ended } = shutDownWith({ finish, cut: () => abort() });
  const error = ended.catch((reason: unknown) => reason);

  vi.advanceTimersByTime(999);
  expect(done).not.toContain('cut');
  vi.advanceTimersByTime(1);

  expect(await error).toBeInstanceOf(CutOffError);
  expect(done).toEqual(['drain', 'finish', 'cut', 'second', 'first']);
});

test('aborts nothing if a release takes long', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  let release = () => {};
  const { done, ended } = shutDownWith({ second: () => new Promise<void>((resolve) => (release = resolve)) });
  await until(() => Promise.resolve(done.includes('second')));

  vi.advanceTimersByTime(3_999);
  release();

  await ended;
  expect(done).toEqual(['drain', 'finish', 'second', 'first']);
});

test('ends at most three seconds later if something still hangs', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { done, ended } = shutDownWith({ finish: hang, cut: fault('cannot cut') });
  const error = ended.catch((reason: unknown) => reason);

  vi.advanceTimersByTime(1_000);
  await until(() => Promise.resolve(done.includes('cut')));
  vi.advanceTimersByTime(3_000);

  expect(await error).toMatchObject({
    errors: [
      { name: 'CutOffError' },
      { message: 'cannot cut' },
      { message: expect.stringContaining('a step hung') as string },
    ],
  });
});
