import { Pool } from 'undici';
import { exchange, type Patience, type UpstreamAnswer, type UpstreamRequest } from './exchange.js';
import { ZitadelError } from './zitadel-error.js';

interface LaneOptions {
  connections: number;
  /** How many requests may wait for one of them. */
  maxWaiting: number;
  /** How long a connection may have been idle and still be used again. */
  reuseMs: number;
}

const connectTimeoutMs = 3_000;
/** A host with two addresses gets time for both; Node's own 250 ms are less than a handshake across the world takes. */
const attemptTimeoutMs = 1_200;
/** Then new connections take the place of the old ones, so that a ZITADEL that has moved in DNS is found. */
const poolLifetimeMs = 30_000;
const maxAnswerBytes = 1024 * 1024;

/**
 * Connections to ZITADEL and a bounded queue before them. Writes and reads have a lane each, so that calls that hang in one do not hold
 * up the other.
 */
export class Lane {
  private readonly maxInside: number;
  private pool: Pool;
  private openedAt = performance.now();
  /** The one in use, and those that only finish what they began. */
  private readonly pools = new Set<Pool>();

  constructor(
    private readonly origin: string,
    private readonly options: LaneOptions,
  ) {
    this.maxInside = options.connections + options.maxWaiting;
    this.pool = this.open();
  }

  /**
   * Sends one request, once.
   *
   * @throws {ZitadelError} `full` at once when the queue is full, and whatever `exchange` throws
   */
  exchange(request: UpstreamRequest, patience: Patience): Promise<UpstreamAnswer> {
    // Also counts those in the queue that nobody waits for any more.
    const inside = [...this.pools].reduce((sum, { stats }) => sum + stats.size, 0);
    if (inside >= this.maxInside) throw new ZitadelError(request.operation, 'full', { sent: false, retryAfter: 1 });
    if (performance.now() - this.openedAt >= poolLifetimeMs) this.replacePool();
    return exchange(this.pool, request, patience);
  }

  /** Lets the requests in flight end. */
  async close(): Promise<void> {
    await Promise.all([...this.pools].map((pool) => this.closePool(pool)));
  }

  /** Breaks off the requests in flight. */
  async destroy(): Promise<void> {
    await Promise.all([...this.pools].map((pool) => pool.destroy()));
  }

  private open(): Pool {
    const { connections, reuseMs } = this.options;
    const pool = new Pool(this.origin, {
      connections,
      connect: {
        timeout: connectTimeoutMs,
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: attemptTimeoutMs,
      },
      keepAliveTimeout: reuseMs,
      // Whatever a `Keep-Alive` header promises.
      keepAliveMaxTimeout: reuseMs,
      maxResponseSize: maxAnswerBytes,
      // `exchange` keeps the deadline of the whole call.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.pools.add(pool);
    return pool;
  }

  /** undici's own `clientTtl` closes connections that are busy, and leaves what is queued behind them waiting for the next request. */
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
