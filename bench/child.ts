import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import pidusage from 'pidusage';

interface Usage {
  /** CPU time of all its threads so far, in microseconds. */
  cpu: number;
  /** Resident, in bytes. */
  memory: number;
}

/** A server in a child process. */
export interface Child extends AsyncDisposable {
  url: string;
  /** On the clock of this process. */
  startedAt: number;
  usage(): Promise<Usage>;
}

/** Starts a Node program that listens on PORT, and writes its output to a file, like a log. */
export async function startServer(
  args: readonly string[],
  env: Record<string, string>,
  logFile: string,
): Promise<Child> {
  const port = await freePort();
  const log = openSync(logFile, 'w');
  const startedAt = performance.now();
  const child = spawn(
    process.execPath,
    args.map((arg) => arg.replace('$PORT', String(port))),
    {
      env: { PATH: process.env['PATH'], NODE_ENV: 'production', HOST: '127.0.0.1', PORT: String(port), ...env },
      stdio: ['ignore', log, log],
    },
  );
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${args.join(' ')} did not start.`);
  const ended = once(child, 'exit');
  return {
    url: `http://127.0.0.1:${port}`,
    startedAt,
    async usage() {
      if (child.exitCode !== null) throw new Error(`${args.join(' ')} has ended: see ${logFile}`);
      const { ctime, memory } = await pidusage(pid);
      return { cpu: ctime * 1000, memory };
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
