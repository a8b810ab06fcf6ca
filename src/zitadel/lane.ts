import { Pool, type buildConnector } from 'undici';
import { failedCall } from '../failures.js';
import { exchange, type Deadline, type UpstreamAnswer, type UpstreamRequest } from './exchange.js';

interface LaneOptions {
  /** How many requests may be in flight. */
  connections: number;
  /** How many more may wait. */
  maxWaiting: number;
  /** The share of its time in which a request must start. */
  startShare: number;
  /** A connection that has been idle for longer than this is not reused. */
  reuseMs: number;
}

/** Connections are replaced after this time, to pick up DNS changes. */
const poolLifetimeMs = 30_000;
const maxAnswerBytes = 1024 * 1024;

/**
 * Connections to ZITADEL with a bounded queue. Writes and reads have separate lanes, so calls that hang in one do not block the other.
 */
export class Lane {
  private readonly slots: Slots;
  private pool: Pool;
  private openedAt = performance.now();
  /** The current pool, and replaced pools that still have requests in flight. */
  private readonly pools = new Set<Pool>();

  constructor(
    private readonly origin: string,
    private connect: buildConnector.connector,
    private readonly options: LaneOptions,
  ) {
    // undici's own queue has no bound, and a request cannot leave it.
    this.slots = new Slots(options.connections, options.maxWaiting);
    this.pool = this.open();
  }

  /**
   * Sends one request, once.
   *
   * @throws {Failure} `full` immediately if the queue is full, `timeout` if it could not start in time, and whatever `exchange`
   * throws
   */
  async exchange(request: UpstreamRequest, deadline: Deadline): Promise<UpstreamAnswer> {
    const { startShare } = this.options;
    const slot = await this.slots.take(deadline.left(startShare));
    if (slot === 'full') throw failedCall({ rpc: request.rpc, kind: 'full', sent: false, retryAfter: 1 });
    if (slot === 'late') throw failedCall({ rpc: request.rpc, kind: 'timeout', sent: false });
    try {
      if (performance.now() - this.openedAt >= poolLifetimeMs) this.replacePool();
      return await exchange(this.pool, request, deadline, startShare);
    } finally {
      this.slots.release();
    }
  }

  /** Opens new connections with another connector. Requests in flight finish on the old connections. */
  reconnect(connect: buildConnector.connector): void {
    this.connect = connect;
    this.replacePool();
  }

  /** Waits for the requests in flight. */
  async close(): Promise<void> {
    await Promise.all([...this.pools].map((pool) => this.closePool(pool)));
  }

  /** Aborts the requests in flight. */
  async destroy(): Promise<void> {
    await Promise.all([...this.pools].map((pool) => pool.destroy()));
  }

  private open(): Pool {
    const { connections, reuseMs } = this.options;
    const pool = new Pool(this.origin, {
      connections,
      connect: this.connect,
      keepAliveTimeout: reuseMs,
      // Overrides the `Keep-Alive` header of the answer.
      keepAliveMaxTimeout: reuseMs,
      maxResponseSize: maxAnswerBytes,
      // `exchange` enforces the deadline of the whole call.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.pools.add(pool);
    return pool;
  }

  /** undici's own `clientTtl` closes busy connections, and leaves requests queued behind them stuck until the next request. */
  private replacePool(): void {
    void this.closePool(this.pool);
    this.pool = this.open();
    this.openedAt = performance.now();
  }

  private async closePool(pool: Pool): Promise<void> {
    if (!pool.destroyed) await pool.close();
    this.pools.delete(pool);
  }
}

/** Slots for calls in flight, with a bounded queue. First come, first served. */
class Slots {
  private readonly waiting = new Set<() => void>();

  constructor(
    private free: number,
    private readonly maxWaiting: number,
  ) {}

  /**
   * Takes a slot, or waits for one.
   *
   * @param waitMs the longest time to wait
   * @returns `full` immediately if too many are waiting already, and `late` when the time is up
   */
  take(waitMs: number): Promise<'taken' | 'full' | 'late'> {
    if (this.free > 0) {
      this.free -= 1;
      return Promise.resolve('taken');
    }
    if (this.waiting.size >= this.maxWaiting) return Promise.resolve('full');
    return new Promise((resolve) => {
      const give = () => {
        clearTimeout(timer);
        resolve('taken');
      };
      const timer = setTimeout(
        () => {
          this.waiting.delete(give);
          resolve('late');
        },
        Math.max(1, waitMs),
      );
      this.waiting.add(give);
    });
  }

  /** Passes a slot on, or frees it. */
  release(): void {
    const [next] = this.waiting;
    if (!next) {
      this.free += 1;
      return;
    }
    this.waiting.delete(next);
    next();
  }
}
