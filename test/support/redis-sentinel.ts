import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from './child.js';
import { ask, freePort, password, replicated, startProcess, urlOf } from './redis.js';
import { until } from './until.js';

/** A real master with a replica, and two Sentinels that monitor the master by all of these names. */
export async function startSentinels(...names: string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'contact-phone-sentinel-'));
  const startRedis = async (...options: string[]) => {
    const port = await freePort();
    return { port, server: await startProcess(port, '--dir', folder, '--repl-diskless-sync-delay', '0', ...options) };
  };
  const startSentinel = async () => {
    const port = await freePort();
    const monitor = names.flatMap((name) => [
      `sentinel monitor ${name} 127.0.0.1 ${master.port} 1`,
      `sentinel auth-pass ${name} ${password}`,
    ]);
    const file = join(folder, `${port}.conf`);
    const own = [`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, `requirepass ${password}`];
    await writeFile(file, [...own, ...monitor].join('\n'));
    const server = startChild([file, '--sentinel'], {}, 'redis-server');
    await server.printed(/\+monitor/);
    return { port, server };
  };
  const master = await startRedis();
  const replica = await startRedis('--replicaof', '127.0.0.1', String(master.port));
  await until(async () => (await ask(master.port, 'INFO', 'replication')).includes('state=online'));
  const [first, second] = [await startSentinel(), await startSentinel()];
  for (const { port } of [first, second]) {
    await until(async () => (await ask(port, 'INFO', 'sentinel')).includes('slaves=1,sentinels=2'));
  }
  const kill = async ({ server }: typeof master) => {
    server.kill('SIGKILL');
    await server.exited;
  };
  return {
    /** The first Sentinel. */
    url: urlOf(first.port),
    killFirstSentinel: () => kill(first),
    /** Resolves when the replica has everything that the master has now. */
    replicated: () => replicated(master.port),
    killMaster: () => kill(master),
    /** Lets the second Sentinel promote the replica, as both would have decided some time later. */
    promoteReplica: () => ask(second.port, 'SENTINEL', 'FAILOVER', names[0] ?? ''),
    async [Symbol.asyncDispose]() {
      for (const { server } of [master, replica, first, second]) await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}
