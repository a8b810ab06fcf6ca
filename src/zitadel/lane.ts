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
/** A connection is replaced after this time, so that a ZITADEL that has moved in DNS is found. */
const connectionLifetimeMs = 30_000;
const maxAnswerBytes = 1024 * 1024;

/**
 * Connections to ZITADEL and a bounded queue before them. Writes and reads have a lane each, so that calls that hang in one do not hold
 * up the other.
 */
export class Lane {
  private readonly pool: Pool;
  private readonly maxInside: number;

  constructor(origin: string, { connections, maxWaiting, reuseMs }: LaneOptions) {
    this.maxInside = connections + maxWaiting;
    this.pool = new Pool(origin, {
      connections,
      connect: {
        timeout: connectTimeoutMs,
        autoSelectFamily: true,
        autoSelectFamilyAttemptTimeout: attemptTimeoutMs,
      },
      keepAliveTimeout: reuseMs,
      // Whatever a `Keep-Alive` header promises.
      keepAliveMaxTimeout: reuseMs,
      clientTtl: connectionLifetimeMs,
      maxResponseSize: maxAnswerBytes,
      // `exchange` keeps the deadline of the whole call.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /**
   * Sends one request, once.
   *
   * @throws {ZitadelError} `full` at once when the queue is full, and whatever `exchange` throws
   */
  exchange(request: UpstreamRequest, patience: Patience): Promise<UpstreamAnswer> {
    // Also counts those in the queue that nobody waits for any more.
    if (this.pool.stats.size >= this.maxInside) {
      throw new ZitadelError(request.operation, 'full', { sent: false, retryAfter: 1 });
    }
    return exchange(this.pool, request, patience);
  }

  /** Lets the requests in flight end. */
  async close(): Promise<void> {
    if (!this.pool.destroyed) await this.pool.close();
  }

  /** Breaks off the requests in flight. */
  destroy(): Promise<void> {
    return this.pool.destroy();
  }
}
