import { createClient } from '@redis/client';
import type { Logger } from 'pino';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { LimitReached, type Gate } from './checkpoint.js';
import type { CreateLimiter } from './counts.js';

const prefix = 'contact-phone';
const slowMs = 200;
const connectMs = 1_000;
const pauseMs = 1_000;

/**
 * Redis or Valkey, as long as it is there. When it fails or is slow it is left alone for a second, or each request would wait for it,
 * and then connected anew: a connection may have died without a word.
 */
export class Redis {
  private readonly client;
  private status: 'starting' | 'up' | 'down' | 'closed' = 'starting';
  private pause: NodeJS.Timeout | undefined;

  constructor(
    url: URL,
    private readonly logger: Logger,
  ) {
    this.client = createClient({
      url: url.href,
      disableOfflineQueue: true,
      socket: { connectTimeout: connectMs, reconnectStrategy: false },
      // Half the work of what it does by default: the newer protocol, and a timer for each command.
      RESP: 2,
      commandOptions: { timeout: 0 },
    });
    this.client.on('error', (error: unknown) => this.lose(error));
  }

  get state(): 'up' | 'down' {
    return this.status === 'up' ? 'up' : 'down';
  }

  /** Comes to its end in little more than a second, whether Redis is there or not; goes on trying if not. */
  async connect(): Promise<void> {
    try {
      await within(connectMs + slowMs, this.client.connect());
      // One that cannot write lets itself be connected, too.
      await within(slowMs, this.client.set(`${prefix}:connected`, '', { expiration: { type: 'EX', value: 1 } }));
    } catch (error) {
      this.leave(error);
      return;
    }
    if (this.status === 'closed') {
      this.client.destroy();
      return;
    }
    this.status = 'up';
    this.logger.info('Redis is there: the limits hold across all processes');
  }

  readonly createLimiter: CreateLimiter = (name, { count, seconds }) =>
    new RateLimiterRedis({
      storeClient: this.client,
      useRedisPackage: true,
      keyPrefix: `${prefix}:${name}`,
      points: count,
      duration: seconds,
    });

  /** The gate, which stands open while Redis is away. */
  whileUp(gate: Gate): Gate {
    return {
      admit: async (userId, callerKey) => {
        const permit = await this.ask(() => gate.admit(userId, callerKey));
        return { settle: async (outcome) => (await this.ask(async () => permit?.settle(outcome))) ?? 0 };
      },
    };
  }

  close(): void {
    this.status = 'closed';
    clearTimeout(this.pause);
    this.client.destroy();
  }

  /** undefined when there is no answer, or none in time. */
  private async ask<Answer>(question: () => Promise<Answer>): Promise<Answer | undefined> {
    if (this.status !== 'up') return undefined;
    try {
      return await within(slowMs, question());
    } catch (error) {
      if (error instanceof LimitReached) throw error;
      this.lose(error);
      return undefined;
    }
  }

  /** While it connects, that fails by itself. */
  private lose(error: unknown): void {
    if (this.status === 'up') this.leave(error);
  }

  private leave(error: unknown): void {
    if (this.status === 'closed') return;
    if (this.status !== 'down') {
      this.logger.warn({ err: error }, 'Redis is away or slow: the limits hold for this process alone');
    }
    this.status = 'down';
    this.client.destroy();
    this.pause = setTimeout(() => void this.connect(), pauseMs).unref();
  }
}

async function within<Answer>(ms: number, answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const giveUp = () => reject(new Error(`There was no answer within ${ms} ms.`));
    // After a look at what has come in meanwhile: it may be this process that was slow.
    timer = setTimeout(() => setImmediate(giveUp), ms);
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
