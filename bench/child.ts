import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import pidusage from 'pidusage';
import { nodeFlags } from './npm-start.js';

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
  /** Other processes that work for its requests, except the upstream. */
  others?: Readonly<Record<string, Child>>;
}

const endings = new Set<() => void>();
process.on('exit', () => {
  for (const end of endings) end();
});

/** Starts a Node program that listens on PORT, and writes its output to a file, like a log. */
export const startServer = (args: readonly string[], env: Record<string, string>, logFile: string): Promise<Child> =>
  startProgram(process.execPath, [...nodeFlags, ...args], env, logFile);

/** `$PORT` in `args` stands for the port. */
export async function startProgram(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
  logFile: string,
): Promise<Child> {
  const port = await freePort();
  const log = openSync(logFile, 'w');
  const startedAt = performance.now();
  const child = spawn(
    program,
    args.map((arg) => arg.replace('$PORT', String(port))),
    {
      env: { PATH: process.env['PATH'], NODE_ENV: 'production', HOST: '127.0.0.1', PORT: String(port), ...env },
      stdio: ['ignore', log, log],
    },
  );
  closeSync(log);
  const { pid } = child;
  if (pid === undefined) throw new Error(`${program} ${args.join(' ')} did not start.`);
  const ended = once(child, 'exit');
  const end = () => child.kill('SIGKILL');
  endings.add(end);
  child.once('exit', () => endings.delete(end));
  return {
    url: `http://127.0.0.1:${port}`,
    startedAt,
    async usage() {
      if (child.exitCode !== null) throw new Error(`${program} ${args.join(' ')} has ended: see ${logFile}`);
      const { ctime, memory } = await pidusage(pid);
      return { cpu: ctime * 1000, memory };
    },
    async [Symbol.asyncDispose]() {
      end();
      await ended;
    },
  };
}

/** The same server, with the other processes that work for it: they end together. */
export const withOthers = (server: Child, others: Readonly<Record<string, Child>>): Child => ({
  ...server,
  others,
  async [Symbol.asyncDispose]() {
    await Promise.all([server, ...Object.values(others)].map((child) => child[Symbol.asyncDispose]()));
  },
});

const pollMs = 10;

/**
 * Waits until it accepts connections.
 *
 * @throws when the process has ended
 */
export async function isAccepting(server: Child): Promise<void> {
  const { hostname, port } = new URL(server.url);
  for (;;) {
    const socket = connect(Number(port), hostname);
    const isConnected = await once(socket, 'connect').then(
      () => true,
      () => false,
    );
    socket.destroy();
    if (isConnected) return;
    await server.usage();
    await delay(pollMs);
  }
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
