import { setImmediate } from 'node:timers/promises';
import { onTestFinished } from 'vitest';

/** Asks again and again until it is so; or until the test is over, which may have run out of time. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  const test = new AbortController();
  onTestFinished(() => test.abort());
  while (!test.signal.aborted && !(await isSo())) await setImmediate();
}
