import { Pool } from 'undici';
import type { z } from 'zod';
import type { ZitadelConfig } from '../config.js';
import { parseAnswer } from './answer.js';
import { exchange, type UpstreamRequest } from './exchange.js';
import { ZitadelError } from './zitadel-error.js';
import { ZitadelHealth } from './zitadel-health.js';

export interface Caller {
  /** What ZITADEL gets to know of him: these headers of his request, under their own names, and no others. */
  readonly headers: {
    readonly authorization: string;
    readonly 'accept-language'?: string | undefined;
  } & TraceHeaders;
  /** Told of each call that is made for him. */
  watchCall(operation: string): WatchedCall;
}

/** https://www.w3.org/TR/trace-context/ */
export interface TraceHeaders {
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

export interface WatchedCall {
  /** Where the trace goes on from this call: these go to ZITADEL in place of the caller's. */
  traceHeaders: TraceHeaders | undefined;
  end(httpStatus: number | undefined, error?: unknown): void;
}

type RequestParts = Pick<UpstreamRequest, 'method' | 'path' | 'body'>;

const connections = 128;
const connectTimeoutMs = 3_000;
/** Who wants to know whether ZITADEL is there does not wait, but who closes the connection does. */
const lookTimeoutMs = 2_000;
const maxAnswerBytes = 1024 * 1024;

/** The way to ZITADEL and back, within the deadline. No redirect is followed. */
export class ZitadelConnection {
  readonly health: ZitadelHealth;
  private readonly pool: Pool;
  private readonly basePath: string;

  constructor(private readonly config: ZitadelConfig) {
    this.basePath = config.url.pathname.replace(/\/+$/, '');
    this.pool = new Pool(config.url.origin, {
      connections,
      connect: { timeout: connectTimeoutMs },
      maxResponseSize: maxAnswerBytes,
      // The deadline of the whole call is kept by `exchange`.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.health = new ZitadelHealth(() => {
      const path = `${this.basePath}/debug/ready`;
      const headers = { 'x-zitadel-instance-host': config.instanceHost };
      const request = { operation: 'Ready', method: 'GET', path, headers, body: null } as const;
      return exchange(this.pool, request, Math.min(config.timeoutMs, lookTimeoutMs));
    });
  }

  /** Sends a read, which changes nothing, and repeats it once, in what is left of its time, if that may help. */
  async read<T>(operation: string, caller: Caller, response: z.ZodType<T>, request: RequestParts): Promise<T> {
    const began = performance.now();
    try {
      return await this.send(operation, caller, response, request);
    } catch (error) {
      if (!(error instanceof ZitadelError) || !error.isWorthRepeating) throw error;
      const elapsedMs = performance.now() - began;
      return await this.send(operation, caller, response, request, this.config.timeoutMs - elapsedMs);
    }
  }

  /**
   * Sends a request once, which is all that a write may be.
   *
   * @param operation the RPC's name, for error messages
   * @throws {ZitadelError}
   */
  async send<T>(
    operation: string,
    caller: Caller,
    response: z.ZodType<T>,
    { method, path, body }: RequestParts,
    deadlineMs = this.config.timeoutMs,
  ): Promise<T> {
    const call = caller.watchCall(operation);
    const { traceparent, tracestate } = call.traceHeaders ?? caller.headers;
    const headers = {
      accept: 'application/json',
      'x-zitadel-instance-host': this.config.instanceHost,
      authorization: caller.headers.authorization,
      'accept-language': caller.headers['accept-language'],
      'content-type': body === null ? undefined : 'application/json',
      traceparent,
      tracestate,
    };
    const request = { operation, method, path: this.basePath + path, headers, body };
    try {
      const answer = await exchange(this.pool, request, deadlineMs);
      const parsed = parseAnswer(operation, response, answer);
      call.end(answer.httpStatus);
      this.health.note();
      return parsed;
    } catch (error) {
      if (error instanceof ZitadelError) this.health.note(error);
      call.end(error instanceof ZitadelError ? error.facts.httpStatus : undefined, error);
      throw error;
    }
  }

  /** Lets the calls in flight end. */
  async close(): Promise<void> {
    if (!this.pool.destroyed) await this.pool.close();
  }

  /** Breaks off the calls in flight. */
  destroy(): Promise<void> {
    return this.pool.destroy();
  }
}
