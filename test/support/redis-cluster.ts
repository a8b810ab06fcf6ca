import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ask, freePort, keysOf, startProcess, urlOf } from './redis.js';
import { until } from './until.js';

/**
 * A real Redis Cluster of three masters, and one replica.
 *
 * @param prefix the master of the keys that begin with `{prefix}:` is the one with a replica
 */
export async function startCluster(prefix = 'contact-phone') {
  const folder = await mkdtemp(join(tmpdir(), 'contact-phone-cluster-'));
  const start = async () => {
    const [port, busPort] = [await freePort(), await freePort()];
    const own = ['--cluster-enabled yes', `--cluster-port ${busPort}`, `--cluster-config-file ${port}.conf`];
    const options = [...own, `--dir ${folder}`, '--repl-diskless-sync-delay 0'].flatMap((option) => option.split(' '));
    const server = await startProcess(port, ...options);
    const askIt = (...command: string[]) => ask(port, ...command);
    return { port, busPort, url: urlOf(port), server, ask: askIt, id: await askIt('CLUSTER', 'MYID') };
  };
  const [first, second, third, replica] = [await start(), await start(), await start(), await start()];
  const masters = [first, second, third];
  const nodes = [...masters, replica];
  await first.ask('CLUSTER', 'ADDSLOTSRANGE', '0', '5460');
  await second.ask('CLUSTER', 'ADDSLOTSRANGE', '5461', '10922');
  await third.ask('CLUSTER', 'ADDSLOTSRANGE', '10923', '16383');
  // Otherwise two of them could claim the same epoch, and the one that yields would wait.
  for (const [index, { ask }] of nodes.entries()) await ask('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
  for (const { port, busPort } of nodes.slice(1)) {
    await first.ask('CLUSTER', 'MEET', '127.0.0.1', String(port), String(busPort));
  }
  const slot = Number(await first.ask('CLUSTER', 'KEYSLOT', `{${prefix}}:`));
  const master = slot <= 5460 ? first : slot <= 10_922 ? second : third;
  const all =
    (pattern: RegExp, ...command: string[]) =>
    async () =>
      (await Promise.all(nodes.map(({ ask }) => ask(...command)))).every((answer) => pattern.test(answer));
  await until(all(/cluster_known_nodes:4/, 'CLUSTER', 'INFO'));
  await until(async () => (await replica.ask('CLUSTER', 'NODES')).includes(`${master.id} 127.0.0.1`));
  await replica.ask('CLUSTER', 'REPLICATE', master.id);
  await until(all(/cluster_state:ok/, 'CLUSTER', 'INFO'));
  await until(all(new RegExp(`slave ${master.id}.* connected`), 'CLUSTER', 'NODES'));
  await until(async () => (await replica.ask('INFO', 'replication')).includes('master_link_status:up'));
  const elsewhere = masters.filter((node) => node !== master);
  let killedId: string | undefined;
  return {
    /** A master that does not have our keys. */
    url: elsewhere[0]?.url ?? '',
    /** The masters, first the one that has our keys. */
    urls: [master, ...elsewhere].map(({ url }) => url),
    /** The replica of the master that has our keys. */
    replicaUrl: replica.url,
    /** Every key, with the milliseconds until it expires. */
    async keys() {
      const keys = [];
      for (const { id, url, ask } of nodes) {
        if (id !== killedId && (await ask('INFO', 'replication')).includes('role:master'))
          keys.push(...(await keysOf(url)));
      }
      return keys;
    },
    /** From now on, its nodes name each other without their hosts, as behind some load balancers. */
    async hideHosts() {
      for (const { ask } of nodes) await ask('CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'unknown-endpoint');
    },
    /** Swaps the master that has our keys and its replica, as for maintenance. Nothing is lost. */
    async swapMaster() {
      await replica.ask('CLUSTER', 'FAILOVER');
      await until(async () => /myself,slave/.test(await master.ask('CLUSTER', 'NODES')));
    },
    /** Kills the master that has our keys. Nobody takes over. */
    async killMaster() {
      killedId = master.id;
      master.server.kill('SIGKILL');
      await master.server.exited;
    },
    /** Promotes its replica, as the other masters would have decided some seconds later. */
    promoteReplica: () => replica.ask('CLUSTER', 'FAILOVER', 'TAKEOVER'),
    async [Symbol.asyncDispose]() {
      for (const { server } of nodes) await server[Symbol.asyncDispose]();
      await rm(folder, { recursive: true });
    },
  };
}
