import { afterEach, expect, test, vi } from 'vitest';
import { CutOffError, shutDown, type Release } from '../src/shutdown.js';

afterEach(() => {
  vi.useRealTimers();
});

/** Three things were taken; the releases of some do something else than well. */
function taken(special: Partial<Record<'first' | 'second' | 'third' | 'cut', Release>>) {
  const done: string[] = [];
  const step = (name: 'first' | 'second' | 'third' | 'cut') => () => {
    done.push(name);
    return special[name]?.();
  };
  const ended = shutDown(
    { delayMs: 0, timeoutMs: 1_000 },
    {
      drain: () => void done.push('drain'),
      releases: [step('first'), step('second'), step('third')],
      cut: step('cut'),
    },
  );
  return { done, ended };
}

const hang = () => new Promise(() => {});
const fault = (message: string) => () => {
  throw new Error(message);
};

test('releases what was taken, the last first', async () => {
  const { done, ended } = taken({});

  await ended;

  expect(done).toEqual(['drain', 'third', 'second', 'first']);
});

test('releases the rest when a release throws or rejects, and names every failure', async () => {
  const { done, ended } = taken({ third: fault('no'), second: () => Promise.reject(new Error('never')) });

  await expect(ended).rejects.toMatchObject({ errors: [{ message: 'no' }, { message: 'never' }] });
  expect(done).toEqual(['drain', 'third', 'second', 'first']);
});

test('aborts what is in flight in time, and releases the rest', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  let abort = () => {};
  const { done, ended } = taken({ third: () => new Promise<void>((resolve) => (abort = resolve)), cut: () => abort() });
  const error = ended.catch((reason: unknown) => reason);

  vi.advanceTimersByTime(999);
  expect(done).not.toContain('cut');
  vi.advanceTimersByTime(1);

  expect(await error).toBeInstanceOf(CutOffError);
  expect(done).toEqual(['drain', 'third', 'cut', 'second', 'first']);
});

test('ends three seconds later at the latest, if something hangs even then', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { done, ended } = taken({ second: hang, cut: fault('cannot cut') });
  const error = ended.catch((reason: unknown) => reason);
  await vi.waitFor(() => expect(done).toContain('second'));

  vi.advanceTimersByTime(1_000);
  await vi.waitFor(() => expect(done).toContain('cut'));
  vi.advanceTimersByTime(3_000);

  expect(await error).toMatchObject({
    errors: [
      { name: 'CutOffError' },
      { message: 'cannot cut' },
      { message: expect.stringContaining('hangs') as string },
    ],
  });
});
