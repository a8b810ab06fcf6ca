import type { Config } from './config.js';

/** What was in flight did not end in time. */
export class CutOffError extends Error {
  override readonly name = 'CutOffError';
}

/** Gives back one thing that was taken. */
export type Release = () => unknown;

/** How long the rest may take once the time for what is in flight is over. */
const restMs = 3_000;

interface Steps {
  /** Makes requests go elsewhere. */
  drain: () => void;
  /** Refuses new connections, and lets what is in flight end. */
  finish: Release;
  /** Aborts what is in flight, so that `finish` comes to its end. */
  cut: Release;
  /** For what was taken, in that order. */
  releases: readonly Release[];
}

/**
 * Shuts down a server that may be busy. It comes to its end even if a step hangs.
 *
 * @throws {CutOffError} when requests had to be aborted
 * @throws {AggregateError} of everything that failed
 */
export async function shutDown({ delayMs, timeoutMs }: Config['shutdown'], steps: Steps): Promise<void> {
  steps.drain();
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));

  const failures: unknown[] = [];
  const cut = setTimeout(() => {
    failures.push(new CutOffError(`Shutdown timed out after ${timeoutMs} ms; in-flight requests were aborted.`));
    void attempt(steps.cut, failures);
  }, timeoutMs);
  const finishAndRelease = async () => {
    await attempt(steps.finish, failures);
    clearTimeout(cut);
    await releaseAll(steps.releases, failures);
  };
  let giveUp: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    giveUp = setTimeout(() => {
      failures.push(new Error(`Shutdown gave up after ${timeoutMs + restMs} ms: a step hangs.`));
      resolve();
    }, timeoutMs + restMs);
  });
  await Promise.race([finishAndRelease(), late]);
  clearTimeout(giveUp);
  const [first] = failures;
  if (first instanceof CutOffError && failures.length === 1) throw first;
  if (failures.length > 0) throw new AggregateError(failures, 'Shutdown failed');
}

/** Gives everything back, the last first. A release that fails keeps none of the others from being done. */
export async function releaseAll(releases: readonly Release[], failures: unknown[]): Promise<void> {
  for (const release of releases.toReversed()) await attempt(release, failures);
}

async function attempt(release: Release, failures: unknown[]): Promise<void> {
  try {
    await release();
  } catch (error) {
    failures.push(error);
  }
}
