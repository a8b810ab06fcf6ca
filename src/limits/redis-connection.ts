import { createHash } from 'node:crypto';
import { createClient, ErrorReply } from '@redis/client';
import type { Logger } from 'pino';
import { ConfigError } from '../config.js';

/** A Lua script. Redis gets only its SHA-1, or the source if it does not have the script yet. */
export type Script = Readonly<{ source: string; sha1: string }>;

export const script = (source: string): Script => ({ source, sha1: createHash('sha1').update(source).digest('hex') });

/** Connecting also succeeds where scripts cannot write: on a replica, without permission, or if Redis is full. So this writes a key. */
const probe = script(`return redis.call('SET', KEYS[1], '', 'PX', 1000)`);

/** A slower answer counts as none. */
const slowMs = 200;
const connectMs = 1_000;
/** How long Redis is not used after it failed. */
const pauseMs = 1_000;

/**
 * One connection to the Redis or Valkey that has the keys: a single server, or a master in a Cluster or behind a Sentinel. Once it fails or
 * is slow, requests do without Redis for a second instead of waiting. Then a new connection replaces it: it may be dead, or no longer that of
 * the master.
 */
export class RedisConnection {
  /** Every key begins with it. Its braces put all keys into one slot of a Cluster, since a script may use only keys of one slot. */
  readonly keyPrefix: string;
  private client: Client | undefined;
  private status: 'starting' | 'up' | 'down' | 'closed' = 'starting';
  private pause: NodeJS.Timeout | undefined;
  /** URLs of the nodes to ask for the master. Each attempt asks the first and moves it to the end: the configured one may be dead. */
  private nodes = new Set<string>();

  /** @param url of a single server, any node of a Cluster, or a Sentinel; all nodes must accept its user and password */
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
   * Resolves once connected, or after little more than a second: then it keeps trying in the background.
   *
   * @throws {ConfigError} if the Redis is of a kind that is not supported. Only the first attempt throws; later ones log it.
   */
  async connect(): Promise<void> {
    try {
      await within(connectMs + slowMs, this.open());
      this.status = 'up';
      this.logger.info('Redis is up: limits are shared across processes');
    } catch (error) {
      this.leave(error);
    }
  }

  /** @returns undefined if Redis is down or slow, or answers with an error. Even so, it may have run the script, or run it later. */
  async run(script: Script, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const { client } = this;
    if (this.status !== 'up' || !client) return undefined;
    try {
      return await within(slowMs, evaluate(client, script, [String(keys.length), ...keys, ...args]));
    } catch (error) {
      this.lose(client, error);
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
    // HELLO gives the mode, and unlike INFO needs no permission.
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
    // Also if `leave` has destroyed it already: while it was connecting, that had no effect.
    this.client?.destroy();
    const client = createRedisClient(url);
    this.client = client;
    client.on('error', (error: unknown) => this.lose(client, error));
    await client.connect();
    return client;
  }

  /** Ignores failures while connecting: `connect` handles those. */
  private lose(client: Client, error: unknown): void {
    if (this.status === 'up' && client === this.client) this.leave(error);
  }

  private leave(error: unknown): void {
    this.client?.destroy();
    if (this.status === 'starting' && error instanceof ConfigError) throw error;
    if (this.status === 'closed') return;
    const code = codeOf(error);
    if (this.status !== 'down') {
      const err = code === undefined ? error : new Error(`Redis answered ${code}`);
      this.logger.warn({ err }, 'Redis is down or slow: falling back to limits per process');
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

/** The host is null or empty if it is that of the node that answered. */
type Address = { host: string | null; port: string | number };

/** For each mode of a node, how to ask it for the nodes: first the master that has the key, then others to ask next time. */
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
 * Rejects if there is no answer in time. Counts the time in steps, so that an answer that came while this process was blocked is read before
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
