import { ConfigError, type Config } from './config/config.js';
import { StandardOutput, summariseError, type Logger } from './logger.js';

// The life of the process: startup, signals, uncaught errors, and a shutdown that always completes.

/** npm and a terminal may deliver the same signal twice. A person takes longer to send a second one. */
const secondSignalMs = 1_000;

interface Running extends AsyncDisposable {
  logger: Pick<Logger, 'info' | 'warn' | 'error' | 'fatal'>;
}

/**
 * Runs what `start` returns until SIGTERM or SIGINT, then shuts it down and exits with 0. Exits with 1, and logs why, if startup or shutdown
 * fails, a second signal arrives, or an uncaught error leaves the process in an unknown state. Even after an uncaught error, requests in
 * flight are answered.
 *
 * @param rotate reads the secrets again at SIGHUP, and returns the names of those that have changed; without it, SIGHUP shuts down too
 */
export async function run<Server extends Running>(
  start: (output: StandardOutput) => Promise<Server>,
  rotate?: (server: Server) => Promise<string[]>,
): Promise<void> {
  let running: Server | undefined;
  let exitCode = 0;
  let isStopping = false;
  let signalledAt: number | undefined;

  const output = new StandardOutput(process.stdout, (lines) =>
    running?.logger.warn({ lines }, 'Standard output was not read: log lines were dropped'),
  );
  // The lines of the last tick.
  process.on('exit', output.writeLines);
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

  const onHangup = async () => {
    const server = await starting.catch(() => undefined);
    if (!server || !rotate || isStopping) return;
    try {
      const changed = await rotate(server);
      const what = changed.length > 0 ? 'using the secrets that have changed' : 'no secret has changed';
      server.logger.info({ changed }, `SIGHUP received: ${what}`);
    } catch (error) {
      server.logger.error({ err: error }, 'SIGHUP received: the secrets could not be changed, and stay as they are');
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
  process.on('SIGHUP', rotate ? () => void onHangup() : onSignal);
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
  const line = { level: 'fatal', time: new Date(), err: summariseError(reason) };
  console.error(isPlain ? reason.message : JSON.stringify(line));
  process.exit(1);
}

/** How long everything else may take once the time for requests in flight is up. */
const restMs = 3_000;

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

/** Releases one resource. */
export type Release = () => unknown;

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

/** Requests in flight did not end in time. */
export class CutOffError extends Error {
  override readonly name = 'CutOffError';
}
