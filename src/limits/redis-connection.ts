import { createHash } from 'node:crypto';
import { createClient, ErrorReply } from '@redis/client';
import type { Logger } from 'pino';
import { ConfigError } from '../config.js';

/** A Lua script. Redis gets its SHA-1, and its source only if it does not know it. */
export type Script = Readonly<{ source: string; sha1: string }>;

export const script = (source: string): Script => ({ source, sha1: createHash('sha1').update(source).digest('hex') });

/** Connecting may succeed even if scripts cannot write: to a replica, without permission, or while Redis is full. */
const probe = script(`return redis.call('SET', KEYS[1], '', 'PX', 1000)`);

/** An answer that takes longer counts as none. */
const slowMs = 200;
const connectMs = 1_000;
/** How long Redis is not used after it failed. */
const pauseMs = 1_000;

/**
 * One connection to the Redis or Valkey that has the keys: alone, in a Cluster, or behind a Sentinel. If it fails or is slow, it is not used
 * for a second: otherwise each request would wait for it. Then it is replaced: it may have died silently, or another node may be the master.
 */
export class RedisConnection {
  /** Begins every key. Its braces put all keys into one slot of a Cluster, so that one script may use any of them. */
  readonly keyPrefix: string;
  private client: Client | undefined;
  private status: 'starting' | 'up' | 'down' | 'closed' = 'starting';
  private pause: NodeJS.Timeout | undefined;
  /** URLs of the nodes to ask for the master. Each attempt asks another one, and makes it the last: the configured one may be dead. */
  private nodes = new Set<string>();

  /** @param url of a server, of any node of a Cluster, or of a Sentinel; all nodes must accept its user and password */
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
   * Resolves after little more than a second at the latest. If Redis is not up by then, keeps trying in the background.
   *
   * @throws {ConfigError} if Redis is up, but in a way that is not supported. Later attempts only log this.
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

  /** @returns undefined if Redis is down, slow, or answers with an error; it may have run the script, or may run it later */
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
    // Unlike INFO, it needs no permission.
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
    // Again, if it was destroyed while it was connecting: that had no effect.
    this.client?.destroy();
    const client = createRedisClient(url);
    this.client = client;
    client.on('error', (error: unknown) => this.lose(client, error));
    await client.connect();
    return client;
  }

  /** While it is connecting, `connect` handles the failure. */
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
    // A Cluster answers MOVED when another master is up already.
    const waitMs = this.status === 'up' && code === 'MOVED' ? 0 : pauseMs;
    this.status = 'down';
    this.pause = setTimeout(() => void this.connect(), waitMs).unref();
  }
}

type Client = ReturnType<typeof createRedisClient>;

const createRedisClient = (url: string) =>
  createClient({
    // Only the master may have the database.
    url: Object.assign(new URL(url), { pathname: '' }).href,
    socket: { connectTimeout: connectMs, reconnectStrategy: false },
    // The older protocol, and no timer for each command, halve the CPU time.
    RESP: 2,
    commandOptions: { timeout: 0 },
  });

/** Without a host, it is the host of the node that was asked. */
type Address = { host: string | null; port: string | number };

/** By the mode of a node: its question for the master that has the key, and for the other nodes to ask next time. */
const topology: Record<string, (client: Client, key: string, database: number) => Promise<Address[]>> = {
  async cluster(client, key, database) {
    if (database !== 0) throw new ConfigError('REDIS_URL is of a Redis Cluster, which has only database 0.');
    const [slot, ranges] = await Promise.all([client.clusterKeySlot(key), client.clusterSlots()]);
    const master = ranges.find(({ from, to }) => from <= slot && slot <= to)?.master;
    if (!master) throw new Error('No node of the Redis Cluster has the slot of the keys.');
    const nodes = ranges.flatMap((range) => [range.master, ...range.replicas]);
    return [master, ...nodes.filter(({ id }) => id !== master.id)];
  },
  async sentinel(client) {
    const masters = await client.sendCommand<string[][]>(['SENTINEL', 'MASTERS']);
    if (masters.length !== 1) throw new ConfigError('REDIS_URL is of a Sentinel, which must monitor one master only.');
    const sentinels = await client.sendCommand<string[][]>(['SENTINEL', 'SENTINELS', masters[0]?.[1] ?? '']);
    // Names and values in turn, of which these are always the first.
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

/** The rest of an error reply may quote the arguments of the command, and those of AUTH include the password. */
const codeOf = (error: unknown) =>
  error instanceof ErrorReply ? (/^\w+/.exec(error.message)?.[0] ?? 'an error') : undefined;

const stepMs = 10;

/**
 * Rejects if the answer does not come in time. Waits in steps and processes input between them, so that a delay of this process is not
 * mistaken for a slow answer.
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
