import { afterAll, afterEach, beforeAll } from 'vitest';
import { openStage } from './stage.js';

type Stage = Awaited<ReturnType<typeof openStage>>;

/** On a very busy machine, this may take long. */
const timeout = 120_000;

/**
 * One stage for all tests of a file or a `describe`, if their stories cannot influence each other, as with refusals. Its calls and log lines
 * are those of the current test.
 *
 * @returns what a test calls to get the stage
 */
export function shareStage(...options: Parameters<typeof openStage>): () => Stage {
  let stage: Stage | undefined;
  const earlier: string[] = [];
  const shared = () => {
    if (!stage) throw new Error('The stage exists only while tests run.');
    return stage;
  };
  beforeAll(async () => {
    stage = await openStage(...options);
  }, timeout);
  afterEach(() => {
    earlier.push(...shared().lines.splice(0));
    shared().zitadel.calls.length = 0;
  });
  afterAll(async () => {
    // The test of the logs reads all of them.
    stage?.lines.unshift(...earlier);
    await stage?.[Symbol.asyncDispose]();
  }, timeout);
  return shared;
}
