import { createHash } from 'node:crypto';
import { createClient, ErrorReply } from '@redis/client';
import { ConfigError } from '../config/config.js';

// Finds the Redis server that has the keys, and runs scripts there.

/** A Lua script. Redis is sent only its SHA-1, and the source if it does not have the script yet. */
export type Script = Readonly<{ source: string; sha1: string }>;

export const script = (source: string): Script => ({ source, sha1: createHash('sha1').update(source).digest('hex') });

/** Connecting succeeds even if scripts cannot write: on a replica, without permission, or when Redis is full. So this writes a key. */
const probe = script(`return redis.call('SET', KEYS[1], '', 'PX', 1000)`);

/** How long opening a socket may take. */
export const connectMs = 1_000;

/**
 * The server with the keys: a standalone server, or a master in a Cluster or behind a Sentinel. All nodes must accept the user and the password
 * of its URL.
 */
export class RedisMaster {
  /** URLs of the nodes to ask for the master. Each attempt asks the first and moves it to the end: the configured one may be dead. */
  private nodes = new Set<string>();

  /** @param url of a standalone server, any node of a Cluster, or a Sentinel */
  constructor(
    readonly url: URL,
    private readonly keyPrefix: string,
  ) {}

  /**
   * Connects to the master, and checks that scripts can write to it.
   *
   * @param signal gives up, and closes what is open
   * @throws {ConfigError} if this kind of Redis is not supported
   */
  async connect(signal: AbortSignal): Promise<Client> {
    const [node = this.url.href] = this.nodes;
    this.nodes.delete(node);
    this.nodes.add(node);
    let client = await connectTo(node, signal);
    // HELLO returns the mode and, unlike INFO, needs no permission.
    const { mode } = await client.hello();
    const database = Number(this.url.pathname.slice(1));
    const ask = topology[mode];
    if (ask) {
      const [master = node, ...others] = (await ask(client, this.keyPrefix, database)).map((at) => urlAt(node, at));
      this.nodes = new Set([...others, node, this.url.href]);
      client.destroy();
      client = await connectTo(master, signal);
    }
    if (database !== 0) await client.select(database);
    await evaluate(client, probe, ['1', `${this.keyPrefix}probe`]);
    return client;
  }
}

/** The client is closed if the signal is aborted before, while or after it connects. */
async function connectTo(url: string, signal: AbortSignal): Promise<Client> {
  const client = createRedisClient(url);
  // An error while connecting also rejects `connect`.
  client.on('error', () => {});
  signal.addEventListener('abort', () => client.destroy(), { once: true });
  await client.connect();
  // A client that is still connecting ignores `destroy`.
  if (signal.aborted) client.destroy();
  signal.throwIfAborted();
  return client;
}

export type Client = ReturnType<typeof createRedisClient>;

const createRedisClient = (url: string) =>
  createClient({
    // `connect` selects the database, on the master only: a Sentinel has none.
    url: Object.assign(new URL(url), { pathname: '' }).href,
    socket: { connectTimeout: connectMs, reconnectStrategy: false },
    // RESP2 and no timer per command halve the CPU time. `run` has its own timeout.
    RESP: 2,
    commandOptions: { timeout: 0 },
  });

/** The host is null or empty if it is the node that answered. */
type Address = { host: string | null; port: string | number };

/** By a node's mode, how to ask it for addresses: first that of the master with the key, then those of nodes to ask next time. */
const topology: Record<string, (client: Client, key: string, database: number) => Promise<Address[]>> = {
  async cluster(client, key, database) {
    if (database !== 0) throw new ConfigError('REDIS_URL must select database 0: a Redis Cluster has no other.');
    const [slot, ranges] = await Promise.all([client.clusterKeySlot(key), client.clusterSlots()]);
    const master = ranges.find(({ from, to }) => from <= slot && slot <= to)?.master;
    if (!master) throw new Error('No node of the Redis Cluster serves the slot of the keys.');
    const nodes = ranges.flatMap((range) => [range.master, ...range.replicas]);
    return [master, ...nodes.filter(({ id }) => id !== master.id)];
  },
  async sentinel(client) {
    const masters = await client.sendCommand<string[][]>(['SENTINEL', 'MASTERS']);
    if (masters.length !== 1) throw new ConfigError('The Sentinel of REDIS_URL must monitor exactly one master.');
    const sentinels = await client.sendCommand<string[][]>(['SENTINEL', 'SENTINELS', masters[0]?.[1] ?? '']);
    // Each is a flat list of names and values, and always begins with name, ip and port.
    return [...masters, ...sentinels].map(([, , , host = '', , port = '']) => ({ host, port }));
  },
};

function urlAt(node: string, { host, port }: Address): string {
  const url = new URL(node);
  url.host = `${host?.includes(':') ? `[${host}]` : host || url.hostname}:${port}`;
  return url.href;
}

export async function evaluate(client: Client, { source, sha1 }: Script, rest: string[]): Promise<unknown> {
  try {
    return await client.sendCommand(['EVALSHA', sha1, ...rest]);
  } catch (error) {
    if (codeOf(error) !== 'NOSCRIPT') throw error;
    return client.sendCommand(['EVAL', source, ...rest]);
  }
}

/** The code of an error reply, such as NOSCRIPT; undefined for any other error. */
export const codeOf = (error: unknown) =>
  error instanceof ErrorReply ? (/^\w+/.exec(error.message)?.[0] ?? 'an error') : undefined;

/** For the log: an error reply may quote the command's arguments, and those of AUTH include the password. */
export function withoutArguments(error: unknown): unknown {
  const code = codeOf(error);
  return code === undefined ? error : new Error(`Redis answered ${code}`);
}
