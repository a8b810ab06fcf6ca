import { Pool } from 'undici';
import type { z } from 'zod';
import type { ZitadelConfig } from '../config.js';
import { parseAnswer } from './answer.js';
import { exchange, type UpstreamRequest } from './exchange.js';
import { ZitadelError } from './zitadel-error.js';

/** What ZITADEL gets to know of the caller: these headers of his request, under their own names, and no others. */
export interface Caller {
  readonly authorization: string;
  readonly 'accept-language'?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

type RequestParts = Pick<UpstreamRequest, 'method' | 'path' | 'body'>;

const connections = 128;
const connectTimeoutMs = 3_000;
const maxAnswerBytes = 1024 * 1024;

/** The way to ZITADEL and back, within the deadline. No redirect is followed. */
export class ZitadelConnection {
  private readonly pool: Pool;
  private readonly basePath: string;
  private readonly ownHeaders: Record<string, string>;

  constructor(private readonly config: ZitadelConfig) {
    this.basePath = config.url.pathname.replace(/\/+$/, '');
    this.ownHeaders = {
      accept: 'application/json',
      ...(config.instanceHost !== undefined && { 'x-zitadel-instance-host': config.instanceHost }),
    };
    this.pool = new Pool(config.url.origin, {
      connections,
      connect: { timeout: connectTimeoutMs },
      maxResponseSize: maxAnswerBytes,
      // The deadline of the whole call is kept by `exchange`.
      headersTimeout: 0,
      bodyTimeout: 0,
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
    const headers: UpstreamRequest['headers'] = { ...this.ownHeaders, ...caller };
    if (body !== null) headers['content-type'] = 'application/json';
    const request = { operation, method, path: this.basePath + path, headers, body };
    return parseAnswer(operation, response, await exchange(this.pool, request, deadlineMs));
  }

  /** Lets the calls in flight end. */
  close(): Promise<void> {
    return this.pool.close();
  }
}
