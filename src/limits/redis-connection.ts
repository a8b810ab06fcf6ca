import { createHash } from 'node:crypto';
import { createClient, ErrorReply } from '@redis/client';
import type { Logger } from 'pino';
import { ConfigError } from '../config.js';

/** A Lua script. Redis is sent only its SHA-1, and the source if it does not have the script yet. */
export type Script = Readonly<{ source: string; sha1: string }>;

export const script = (source: string): Script => ({ source, sha1: createHash('sha1').update(source).digest('hex') });

/** Connecting succeeds even if scripts cannot write: on a replica, without permission, or when Redis is full. So this writes a key. */
const probe = script(`return redis.call('SET', KEYS[1], '', 'PX', 1000)`);

/** A slower answer counts as no answer. */
const slowMs = 200;
const connectMs = 1_000;
/** How long Redis is left alone after a failure. */
const pauseMs = 1_000;

/**
 * One connection to the Redis or Valkey server with the keys: a standalone server, or a master in a Cluster or behind a Sentinel. If it fails
 * or is slow, requests do without Redis for a second instead of waiting. Then a new connection replaces it: the old one may be dead, or its
 * server may no longer be the master.
 */
export class RedisConnection {
  /** Every key begins with this. Its braces put all keys into one slot of a Cluster, because a script may only use keys of one slot. */
  readonly keyPrefix: string;
  private client: Client | undefined;
  private status: 'starting' | 'up' | 'down' | 'closed' = 'starting';
  private pause: NodeJS.Timeout | undefined;
  /** URLs of the nodes to ask for the master. Each attempt asks the first and moves it to the end: the configured one may be dead. */
  private nodes = new Set<string>();

  /** @param url of a standalone server, any node of a Cluster, or a Sentinel; all nodes must accept its user and password */
  constructor(
    private readonly url: URL,
    prefix: string,
    private readonly logger: Logger,
  ) {
    this.keyPrefix = `{${prefix}}:`;
  }

  get state(): 'up' | 'down' {
    return this.status === 'up' ? 'up' : 'down';
  }

  /**
   * Resolves once connected, or after just over a second; it then keeps trying in the background.
   *
   * @throws {ConfigError} if this kind of Redis is not supported. Only the first attempt throws; later ones log it.
   */
  async connect(): Promise<void> {
    try {
      await within(connectMs + slowMs, this.open());
      this.status = 'up';
      this.logger.info('Redis is up: limits are shared across processes');
    } catch (error) {
      this.fallBack(error);
    }
  }

  /** @returns undefined if Redis is down or slow, or answers with an error. Even then, it may have run the script, or may run it later. */
  async run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const { client } = this;
    if (this.status !== 'up' || !client) return undefined;
    try {
      return await within(slowMs, evaluate(client, script, [String(keys.length), ...keys, ...args]));
    } catch (error) {
      this.onFailure(client, error);
      return undefined;
    }
  }

  close(): void {
    this.status = 'closed';
    clearTimeout(this.pause);
    this.client?.destroy();
  }

  /** Connects to the master that has the keys, and checks that scripts can write to it. */
  private async open(): Promise<void> {
    const [node = this.url.href] = this.nodes;
    this.nodes.delete(node);
    this.nodes.add(node);
    let client = await this.openAt(node);
    // HELLO returns the mode and, unlike INFO, needs no permission.
    const { mode } = await client.hello();
    const database = Number(this.url.pathname.slice(1));
    const ask = topology[mode];
    if (ask) {
      const [master = node, ...others] = (await ask(client, this.keyPrefix, database)).map((at) => urlAt(node, at));
      this.nodes = new Set([...others, node, this.url.href]);
      client = await this.openAt(master);
    }
    if (database !== 0) await client.select(database);
    await evaluate(client, probe, ['1', `${this.keyPrefix}probe`]);
  }

  private async openAt(url: string): Promise<Client> {
    // `fallBack` may have destroyed it already, but that has no effect on a client that is still connecting.
    this.client?.destroy();
    const client = createRedisClient(url);
    this.client = client;
    client.on('error', (error: unknown) => this.onFailure(client, error));
    await client.connect();
    return client;
  }

  /** Ignores failures while connecting: `connect` handles those. */
  private onFailure(client: Client, error: unknown): void {
    if (this.status === 'up' && client === this.client) this.fallBack(error);
  }

  private fallBack(error: unknown): void {
    this.client?.destroy();
    if (this.status === 'starting' && error instanceof ConfigError) throw error;
    if (this.status === 'closed') return;
    const code = codeOf(error);
    if (this.status !== 'down') {
      const err = code === undefined ? error : new Error(`Redis answered ${code}`);
      this.logger.warn({ err }, 'Redis is down or slow: falling back to per-process limits');
    }
    // MOVED means that a Cluster already has another master for the keys.
    const waitMs = this.status === 'up' && code === 'MOVED' ? 0 : pauseMs;
    this.status = 'down';
    this.pause = setTimeout(() => void this.connect(), waitMs).unref();
  }
}

type Client = ReturnType<typeof createRedisClient>;

const createRedisClient = (url: string) =>
  createClient({
    // `open` selects the database, on the master only: a Sentinel has none.
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

async function evaluate(client: Client, { source, sha1 }: Script, rest: string[]): Promise<unknown> {
  try {
    return await client.sendCommand(['EVALSHA', sha1, ...rest]);
  } catch (error) {
    if (codeOf(error) !== 'NOSCRIPT') throw error;
    return client.sendCommand(['EVAL', source, ...rest]);
  }
}

/** Only the code of an error reply may be logged: the rest may quote the command's arguments, and those of AUTH include the password. */
const codeOf = (error: unknown) =>
  error instanceof ErrorReply ? (/^\w+/.exec(error.message)?.[0] ?? 'an error') : undefined;

const stepMs = 10;

/**
 * Rejects if no answer arrives in time. Counts the time in steps: if the process was blocked, an answer that arrived meanwhile is read before
 * the time is up.
 */
async function within<Answer>(ms: number, answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const wait = (leftMs: number) => {
      if (leftMs > 0) timer = setTimeout(wait, stepMs, leftMs - stepMs);
      else reject(new Error(`No answer within ${ms} ms.`));
    };
    wait(ms);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
