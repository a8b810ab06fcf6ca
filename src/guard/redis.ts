import { createClient, ErrorReply } from '@redis/client';
import type { Logger } from 'pino';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { LimitReached, type Gate } from './checkpoint.js';
import type { CreateLimiter } from './counts.js';

const prefix = 'contact-phone';
const slowMs = 200;
const stepMs = 10;
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
  /** What calls hold that it did not answer: when it is back, their callers would be refused for that. */
  private readonly releases: (() => Promise<unknown>)[] = [];

  constructor(
    url: URL,
    private readonly logger: Logger,
  ) {
    this.client = createClient({
      url: url.href,
      disableOfflineQueue: true,
      socket: { connectTimeout: connectMs, reconnectStrategy: false },
      // Without the newer protocol and a timer for each command it has half the work.
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
      // One that may not or cannot count lets itself be connected, too.
      await within(slowMs, this.createLimiter('connected', { count: 1, seconds: 1 }).penalty('probe'));
      while (this.releases.length > 0) {
        await within(slowMs, Promise.all(this.releases.splice(0).map((release) => release())));
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
        if (this.status !== 'up') return { settle: () => Promise.resolve(0) };
        const permit = await this.ask(() => gate.admit(userId, callerKey));
        const release = async () => {
          await gate.release?.(userId, callerKey);
          return 0;
        };
        return {
          settle: async (outcome) => {
            const opensAt = await this.ask(() => permit?.settle(outcome) ?? release());
            if (opensAt === undefined) this.releases.push(release);
            return opensAt ?? 0;
          },
        };
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
    this.client.destroy();
    if (this.status === 'closed') return;
    if (this.status !== 'down') {
      this.logger.warn(
        { err: withoutArguments(error) },
        'Redis is away or slow: the limits hold for this process alone',
      );
    }
    this.status = 'down';
    this.pause = setTimeout(() => void this.connect(), pauseMs).unref();
  }
}

/** Redis quotes the arguments of a command that it does not know, and of AUTH that is the password: its first word must do. */
function withoutArguments(error: unknown): unknown {
  return error instanceof ErrorReply ? new Error(`Redis says ${/^\w+/.exec(error.message)?.[0] ?? 'no'}`) : error;
}

/** Waits in steps, and looks between them what has come in: when this process is busy, it is not Redis that is slow. */
async function within<Answer>(ms: number, answer: Promise<Answer>): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  let waitedMs = 0;
  const late = new Promise<never>((_, reject) => {
    const wait = () => {
      if (waitedMs >= ms) reject(new Error(`There was no answer within ${ms} ms.`));
      else timer = setTimeout(wait, stepMs);
      waitedMs += stepMs;
    };
    wait();
  });
  return Promise.race([answer, late]).finally(() => clearTimeout(timer));
}
