import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { onTestFinished } from 'vitest';

/** A child process that ends with the test: Node.js with these arguments, or another command. */
export function startChild(
  args: string[],
  env: NodeJS.ProcessEnv = {},
  command = process.execPath,
  cwd = process.cwd(),
) {
  const child = spawn(command, args, {
    cwd,
    env: { PATH: process.env['PATH'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit').then(([code]) => code as number | null);
  // A test that times out does not dispose of anything.
  onTestFinished(() => void child.kill('SIGKILL'));
  const output = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output.stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (output.stderr += chunk));
  const ended = once(child, 'close');
  let isEnded = false;
  void ended.then(() => (isEnded = true));
  const appears = async (pattern: RegExp, stream: 'stdout' | 'stderr'): Promise<RegExpExecArray> => {
    for (;;) {
      const match = pattern.exec(output[stream]);
      if (match) return match;
      if (isEnded) throw new Error(`It has ended: ${output.stderr}`);
      await Promise.race([once(child[stream], 'data'), ended]);
    }
  };
  return {
    output,
    exited,
    pid: child.pid,
    /** Stops or resumes reading its standard output. */
    stopReading: () => child.stdout.pause(),
    goOnReading: () => child.stdout.resume(),
    /** Closes our end of its standard output. */
    closeOutput: () => child.stdout.destroy(),
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    /** Resolves with the match once it appears on standard output. */
    printed: (pattern: RegExp) => appears(pattern, 'stdout'),
    /** The same for standard error. */
    complained: (pattern: RegExp) => appears(pattern, 'stderr'),
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}
