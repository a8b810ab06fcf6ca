import pLimit from 'p-limit';
import type { Logger } from 'pino';
import { ConfigError } from '../config/config.js';
import {
  codeOf,
  connectMs,
  evaluate,
  withoutArguments,
  RedisMaster,
  type Client,
  type Script,
} from './redis-master.js';

/** A slower answer counts as no answer. */
const slowMs = 200;
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
  private master: RedisMaster;
  /** The one whose fault was logged last. */
  private reported: RedisMaster | undefined;
  private readonly oneAtATime = pLimit(1);
  /** Called each time Redis is up again. */
  onUp: () => void = () => {};

  constructor(
    url: URL,
    prefix: string,
    private readonly logger: Logger,
  ) {
    this.keyPrefix = `{${prefix}}:`;
    this.master = new RedisMaster(url, this.keyPrefix);
  }

  get state(): 'up' | 'down' {
    return this.status === 'up' ? 'up' : 'down';
  }

  /**
   * Resolves once connected, or after just over a second; it then keeps trying in the background.
   *
   * @throws {ConfigError} if this kind of Redis is not supported. Only the first attempt throws; later ones log it.
   */
  connect(): Promise<void> {
    return this.oneAtATime(async () => {
      if (this.status === 'up' || this.status === 'closed') return;
      try {
        this.use(await open(this.master));
        this.logger.info('Redis is up: limits are shared across processes');
        this.onUp();
      } catch (error) {
        this.fallBack(error);
      }
    });
  }

  /**
   * Connects with another URL, for instance with a new password. The old connection is used until the new one is up. While Redis is down, the
   * next attempt uses the new URL.
   *
   * @throws {ConfigError} if Redis is up, but not with the new URL; then the old connection stays
   */
  rotate(url: URL): Promise<void> {
    return this.oneAtATime(async () => {
      if (url.href === this.master.url.href) return;
      const master = new RedisMaster(url, this.keyPrefix);
      if (this.status === 'up') {
        const client = await open(master).catch((cause: unknown) => {
          throw new ConfigError('REDIS_URL has changed, but does not work', { cause: withoutArguments(cause) });
        });
        const old = this.client;
        this.use(client);
        // Scripts in flight still get their answers. This fails if the connection has broken meanwhile.
        old?.close().catch(() => {});
      }
      this.master = master;
    });
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

  private use(client: Client): void {
    if (this.status === 'closed') {
      client.destroy();
      return;
    }
    clearTimeout(this.pause);
    client.on('error', (error: unknown) => this.onFailure(client, error));
    this.client = client;
    this.status = 'up';
  }

  /** Ignores a client that has been replaced. */
  private onFailure(client: Client, error: unknown): void {
    if (this.status === 'up' && client === this.client) this.fallBack(error);
  }

  private fallBack(error: unknown): void {
    this.client?.destroy();
    if (this.status === 'starting' && error instanceof ConfigError) throw error;
    if (this.status === 'closed') return;
    const code = codeOf(error);
    // After a rotation, the new URL may have another fault.
    if (this.status !== 'down' || this.reported !== this.master) {
      this.reported = this.master;
      this.logger.warn({ err: withoutArguments(error) }, 'Redis is down or slow: falling back to per-process limits');
    }
    // MOVED means that a Cluster already has another master for the keys.
    const waitMs = this.status === 'up' && code === 'MOVED' ? 0 : pauseMs;
    this.status = 'down';
    this.pause = setTimeout(() => void this.connect(), waitMs).unref();
  }
}

/** @throws if that takes longer than just over a second */
async function open(master: RedisMaster): Promise<Client> {
  const giveUp = new AbortController();
  try {
    return await within(connectMs + slowMs, master.connect(giveUp.signal));
  } catch (error) {
    giveUp.abort();
    throw error;
  }
}

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
