import { ConfigError } from './config.js';
import { CutOffError } from './shutdown.js';

/** npm and a terminal may deliver a signal twice; a person who sends a second one has waited for a while. */
const secondSignalMs = 1_000;

/**
 * Runs what `start` gives until SIGTERM or SIGINT, then exits with 0. Exits with 1, and says why, if it does not start, does not end
 * in time, or is told a second time to end.
 */
export async function run(start: () => Promise<AsyncDisposable>): Promise<void> {
  const starting = start();
  const stop = async () => {
    try {
      const running = await starting;
      await running[Symbol.asyncDispose]();
      process.exit(0);
    } catch (error) {
      fail(error);
    }
  };
  let stoppingSince: number | undefined;
  const onSignal = () => {
    const now = performance.now();
    if (stoppingSince === undefined) {
      stoppingSince = now;
      void stop();
    } else if (now - stoppingSince >= secondSignalMs) {
      fail('Ended at once, by a second signal.');
    }
  };
  // `on`, not `once`: without a listener, a signal ends the process at once.
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    await starting;
  } catch (error) {
    fail(error);
  }
}

function fail(reason: unknown): never {
  const isPlain =
    reason instanceof ConfigError || reason instanceof CutOffError || (reason instanceof Error && 'syscall' in reason);
  console.error(isPlain ? reason.message : reason);
  process.exit(1);
}
