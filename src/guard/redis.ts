import { createClient, ErrorReply } from '@redis/client';
import type { Logger } from 'pino';
import { LimitReached } from './checkpoint.js';
import type { CreateCounter } from './counts.js';
import { RedisCounter } from './redis-counter.js';
import { within } from './within.js';

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
  private readonly afterwards: (() => Promise<unknown>)[] = [];

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
    this.logger.info('Redis is there: the limits hold across all processes');
  }

  readonly createCounter: CreateCounter = (name, limit) => new RedisCounter(this.client, `${prefix}:${name}`, limit);

  /**
   * @returns undefined when there is no answer, or none in time
   * @throws {LimitReached} which is an answer
   */
  async ask<Answer>(question: () => Promise<Answer>): Promise<Answer | undefined> {
    if (this.status !== 'up') return undefined;
    try {
      return await within(slowMs, question());
    } catch (error) {
      if (error instanceof LimitReached) throw error;
      this.lose(error);
      return undefined;
    }
  }

  /** Asks this when it is back, before it counts as back. */
  whenBack(question: () => Promise<unknown>): void {
    this.afterwards.push(question);
  }

  close(): void {
    this.status = 'closed';
    clearTimeout(this.pause);
    this.client.destroy();
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
