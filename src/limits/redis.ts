import { createClient, ErrorReply } from '@redis/client';
import type { Logger } from 'pino';
import { RateLimiterRedis, type RateLimiterRes } from 'rate-limiter-flexible';
import type { Limit } from '../config.js';
import { Failure } from '../failure.js';
import { nothing, type Count, type Counter, type CreateCounter } from './counters.js';

const prefix = 'contact-phone';
/** An answer that takes longer counts as none. */
const slowMs = 200;
const connectMs = 1_000;
/** How long Redis is not used after it failed. */
const pauseMs = 1_000;

/**
 * Redis or Valkey. If it fails or is slow, it is not used for a second: otherwise each request would wait for it. Then it is reconnected,
 * since the connection may have died silently.
 */
export class Redis {
  private readonly client;
  private status: 'starting' | 'up' | 'down' | 'closed' = 'starting';
  private pause: NodeJS.Timeout | undefined;
  private readonly afterwards: (() => Promise<unknown>)[] = [];

  constructor(
    url: URL,
    private readonly logger: Logger,
  ) {
    this.client = createClient({
      url: url.href,
      disableOfflineQueue: true,
      socket: { connectTimeout: connectMs, reconnectStrategy: false },
      // The older protocol, and no timer for each command, halve the CPU time.
      RESP: 2,
      commandOptions: { timeout: 0 },
    });
    this.client.on('error', (error: unknown) => this.lose(error));
  }

  get state(): 'up' | 'down' {
    return this.status === 'up' ? 'up' : 'down';
  }

  /** Resolves after little more than a second at the latest. If Redis is not up by then, keeps trying in the background. */
  async connect(): Promise<void> {
    try {
      await within(connectMs + slowMs, this.client.connect());
      // Connecting may succeed even if counting does not, such as without write permission.
      await within(slowMs, Promise.resolve(this.createCounter('connected', { count: 1, seconds: 1 }).add('probe')));
      while (this.afterwards.length > 0) {
        await within(slowMs, Promise.all(this.afterwards.splice(0).map((question) => question())));
      }
    } catch (error) {
      this.leave(error);
      return;
    }
    if (this.status === 'closed') {
      this.client.destroy();
      return;
    }
    this.status = 'up';
    this.logger.info('Redis is up: limits are shared across processes');
  }

  readonly createCounter: CreateCounter = (name, limit) => new RedisCounter(this.client, `${prefix}:${name}`, limit);

  /**
   * @returns undefined if there is no answer in time
   * @throws {Failure} RATE_LIMITED, which is an answer too
   */
  async ask<Answer>(question: () => Promise<Answer>): Promise<Answer | undefined> {
    if (this.status !== 'up') return undefined;
    try {
      return await within(slowMs, question());
    } catch (error) {
      if (error instanceof Failure) throw error;
      this.lose(error);
      return undefined;
    }
  }

  /** Runs this once Redis is back, before its state becomes `up`. */
  whenBack(question: () => Promise<unknown>): void {
    this.afterwards.push(question);
  }

  close(): void {
    this.status = 'closed';
    clearTimeout(this.pause);
    this.client.destroy();
  }

  /** While it is connecting, `connect` handles the failure. */
  private lose(error: unknown): void {
    if (this.status === 'up') this.leave(error);
  }

  private leave(error: unknown): void {
    this.client.destroy();
    if (this.status === 'closed') return;
    if (this.status !== 'down') {
      this.logger.warn({ err: withoutArguments(error) }, 'Redis is down or slow: falling back to limits per process');
    }
    this.status = 'down';
    this.pause = setTimeout(() => void this.connect(), pauseMs).unref();
  }
}

/** Redis quotes the arguments of an unknown command, and those of AUTH include the password. So keep only the first word. */
function withoutArguments(error: unknown): unknown {
  return error instanceof ErrorReply
    ? new Error(`Redis answered ${/^\w+/.exec(error.message)?.[0] ?? 'an error'}`)
    : error;
}

/** Counts in Redis. Each count is one atomic script. */
class RedisCounter implements Counter {
  private readonly limiter: RateLimiterRedis;

  constructor(
    client: object,
    keyPrefix: string,
    private readonly limit: Limit,
  ) {
    this.limiter = new RateLimiterRedis({
      storeClient: client,
      useRedisPackage: true,
      keyPrefix,
      points: limit.count,
      duration: limit.seconds,
    });
  }

  async get(key: string): Promise<Count> {
    return countOf(await this.limiter.get(key));
  }

  async add(key: string): Promise<Count> {
    return countOf(await this.limiter.penalty(key));
  }

  restart(key: string): Promise<unknown> {
    return this.limiter.set(key, 1, this.limit.seconds);
  }

  delete(key: string): Promise<unknown> {
    return this.limiter.delete(key);
  }
}

function countOf(found: RateLimiterRes | null): Count {
  if (!found || found.msBeforeNext <= 0) return nothing;
  return { count: found.consumedPoints, endsAt: performance.now() + found.msBeforeNext };
}

const stepMs = 10;

/**
 * Rejects if the answer does not come in time. Waits in steps and processes input between them, so that a delay of this process is not
 * mistaken for a slow answer.
 */
async function within<Answer>(ms: number, answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  let waitedMs = 0;
  const late = new Promise<never>((_, reject) => {
    const wait = () => {
      if (waitedMs >= ms) reject(new Error(`No answer within ${ms} ms.`));
      else timer = setTimeout(wait, stepMs);
      waitedMs += stepMs;
    };
    wait();
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
