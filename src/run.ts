import { ConfigError } from './config.js';
import { summariseError } from './error-summary.js';
import type { Logger } from './logger.js';
import { CutOffError } from './shutdown.js';
import { StandardOutput } from './standard-output.js';

/** npm and a terminal may deliver the same signal twice. A person who sends a second one has waited for longer. */
const secondSignalMs = 1_000;

interface Running extends AsyncDisposable {
  logger: Pick<Logger, 'info' | 'warn' | 'fatal'>;
}

/**
 * Runs what `start` returns until SIGTERM or SIGINT, then shuts it down and exits with 0. Exits with 1, and logs why, if it does not
 * start, does not shut down cleanly, is forced by a second signal, or if an uncaught error leaves the process in an unknown state. Even
 * then, requests in flight still get their answers.
 */
export async function run(start: (output: StandardOutput) => Promise<Running>): Promise<void> {
  let running: Running | undefined;
  let exitCode = 0;
  let isStopping = false;
  let signalledAt: number | undefined;

  const output = new StandardOutput(process.stdout, (lines) =>
    running?.logger.warn({ lines }, 'Standard output was not read: log lines were dropped'),
  );
  const starting = start(output);

  const stop = async (reason?: string) => {
    if (isStopping) return;
    isStopping = true;
    const server = await starting.catch(() => undefined);
    // The start failed, which is reported below.
    if (!server) return;
    if (reason !== undefined) server.logger.info(reason);
    try {
      await server[Symbol.asyncDispose]();
    } catch (error) {
      exitCode = 1;
      if (error instanceof CutOffError) server.logger.fatal(error.message);
      else server.logger.fatal({ err: error }, 'Shutdown failed');
    }
    await output.flush();
    process.exit(exitCode);
  };

  const onSignal = (signal: NodeJS.Signals) => {
    const now = performance.now();
    if (signalledAt === undefined) {
      signalledAt = now;
      void stop(`${signal} received: shutting down`);
    } else if (now - signalledAt >= secondSignalMs) {
      const message = 'Forced exit: second signal received.';
      if (running) running.logger.fatal(message);
      else console.error(message);
      process.exit(1);
    }
  };

  const onStrayError = (error: unknown) => {
    if (!running) fail(error);
    exitCode = 1;
    running.logger.fatal({ err: error }, 'Uncaught error outside of any request: shutting down');
    void stop();
  };

  // `on`, not `once`: without a listener, a signal or an uncaught error ends the process immediately.
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  process.on('uncaughtException', onStrayError);
  process.on('unhandledRejection', onStrayError);
  try {
    running = await starting;
  } catch (error) {
    fail(error);
  }
}

/** Reports a failed start. */
function fail(reason: unknown): never {
  const isPlain = reason instanceof ConfigError || (reason instanceof Error && 'syscall' in reason);
  console.error(isPlain ? reason.message : JSON.stringify({ err: summariseError(reason) }));
  process.exit(1);
}
