import { RateLimiterRedis, type RateLimiterRes } from 'rate-limiter-flexible';
import type { Limit } from '../config.js';
import { nothing, type Count, type Counter } from './counts.js';

/** Counts in Redis. Each count is one atomic script. */
export class RedisCounter implements Counter {
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
