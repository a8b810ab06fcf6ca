import type { Config } from './config.js';

/** What was in flight did not end in time. */
export class CutOffError extends Error {
  override readonly name = 'CutOffError';
}

interface Steps {
  /** Says that requests are to be sent elsewhere. */
  drain: () => void;
  /** Refuses new connections, and lets what is in flight end. */
  finish: () => Promise<void>;
  /** Breaks off what is in flight, so that `finish` comes to its end. */
  cut: () => void;
  /** Gives back what is left. */
  release: () => Promise<void>;
}

/**
 * Ends a server that may be busy.
 *
 * @throws {CutOffError} when it had to be cut
 */
export async function shutDown({ delayMs, timeoutMs }: Config['shutdown'], steps: Steps): Promise<void> {
  steps.drain();
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs));

  const timeout = AbortSignal.timeout(timeoutMs);
  timeout.addEventListener('abort', steps.cut);
  await steps.finish();
  timeout.removeEventListener('abort', steps.cut);
  const wasCut = timeout.aborted;
  await steps.release();
  if (wasCut) throw new CutOffError(`What was in flight after SHUTDOWN_TIMEOUT_MS=${timeoutMs} was cut off.`);
}
