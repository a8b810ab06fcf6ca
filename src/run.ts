import { ConfigError } from './config.js';

/** Runs what `start` gives until SIGTERM or SIGINT, then exits with 0; says why and exits with 1 if it does not start. */
export async function run(start: () => Promise<AsyncDisposable>): Promise<void> {
  const starting = start();
  const stop = async () => {
    const running = await starting;
    await running[Symbol.asyncDispose]();
    process.exit(0);
  };
  // `on`, not `once`: a signal can arrive twice, from the terminal and from npm, and the second would end the process at once.
  process.on('SIGTERM', () => void stop());
  process.on('SIGINT', () => void stop());
  try {
    await starting;
  } catch (error) {
    const isPlain = error instanceof ConfigError || (error instanceof Error && 'syscall' in error);
    console.error(isPlain ? error.message : error);
    process.exit(1);
  }
}
