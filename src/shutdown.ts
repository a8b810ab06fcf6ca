import type { Config } from './config.js';

/** Requests in flight did not end in time. */
export class CutOffError extends Error {
  override readonly name = 'CutOffError';
}

/** Releases one resource. */
export type Release = () => unknown;

/** How long the rest may take after the time for requests in flight is over. */
const restMs = 3_000;

interface Steps {
  /** Directs new requests elsewhere. */
  drain: Release;
  /** Refuses new connections, and waits for the requests in flight. */
  finish: Release;
  /** Aborts the requests in flight, so that `finish` completes. */
  cut: Release;
  /** In the order in which the resources were opened. */
  releases: readonly Release[];
}

/**
 * Shuts down a server that may be busy. Completes even if a step hangs.
 *
 * @throws {CutOffError} if requests had to be aborted
 * @throws {AggregateError} if anything else failed
 */
export async function shutDown({ delayMs, timeoutMs }: Config['shutdown'], steps: Steps): Promise<void> {
  const failures: unknown[] = [];
  void attempt(steps.drain, failures);
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));

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
      failures.push(new Error(`Shutdown gave up after ${timeoutMs + restMs} ms: a step hung.`));
      resolve();
    }, timeoutMs + restMs);
  });
  await Promise.race([finishAndRelease(), late]);
  clearTimeout(giveUp);
  const [first] = failures;
  if (first instanceof CutOffError && failures.length === 1) throw first;
  if (failures.length > 0) throw new AggregateError(failures, 'Shutdown failed');
}

/** Releases everything, last first. A failing release does not prevent the others. */
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
