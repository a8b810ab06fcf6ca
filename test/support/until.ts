import { setImmediate } from 'node:timers/promises';
import { onTestFinished } from 'vitest';

/** Polls until the condition holds, or until the test ends, perhaps by a timeout. */
export async function until(isSo: () => Promise<boolean>): Promise<void> {
  const test = new AbortController();
  onTestFinished(() => test.abort());
  while (!test.signal.aborted && !(await isSo())) await setImmediate();
}
