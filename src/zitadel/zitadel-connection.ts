import type { Logger } from 'pino';
import { z } from 'zod';
import type { ZitadelConfig } from '../config.js';
import { parseAnswer } from './answer.js';
import { Deadline } from './deadline.js';
import type { UpstreamRequest } from './exchange.js';
import { Lane } from './lane.js';
import { ZitadelError } from './zitadel-error.js';
import { ZitadelHealth } from './zitadel-health.js';

export interface Caller {
  /** All that ZITADEL learns of them: these headers of their request, under their own names, and no others. */
  readonly headers: {
    readonly authorization: string;
    readonly 'accept-language'?: string | undefined;
  } & TraceHeaders;
  /** Observes each call that is made for them. */
  watchCall(operation: string): WatchedCall;
  /** Whether they have hung up. */
  isGone(): boolean;
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

interface Call extends Pick<UpstreamRequest, 'method' | 'path' | 'body'> {
  /** What of the body must not reach a log, even if ZITADEL quotes it. */
  secrets?: readonly string[];
}

/**
 * A read that meets a dead connection is repeated, and so may use one that has been idle for long. A write is not, and what stands before
 * ZITADEL may close a connection after as little as a second: a write takes one that was busy a moment ago, or a fresh one.
 */
const writeReuseMs = 500;
const readReuseMs = 4_000;
/** A burst may wait. What exceeds this would wait in vain: see `Deadline`. */
const maxWaiting = 1_000;
const probeTimeoutMs = 2_000;
/** No user has this id. */
const probePath = '/v2/users/0';

/** The way to ZITADEL and back, within a deadline. No redirect is followed. */
export class ZitadelConnection {
  readonly health: ZitadelHealth;
  private readonly writes: Lane;
  private readonly reads: Lane;
  private readonly probes: Lane;
  private readonly basePath: string;

  constructor(
    private readonly config: ZitadelConfig,
    logger: Logger,
  ) {
    const { origin, pathname } = config.url;
    this.basePath = pathname.replace(/\/$/, '');
    this.writes = new Lane(origin, { connections: 64, maxWaiting, reuseMs: writeReuseMs });
    this.reads = new Lane(origin, { connections: 64, maxWaiting, reuseMs: readReuseMs });
    this.probes = new Lane(origin, { connections: 1, maxWaiting: 1, reuseMs: readReuseMs });
    this.health = new ZitadelHealth(() => this.probe(), logger);
  }

  /** The time that ZITADEL_TIMEOUT_MS gives one field, whatever calls it needs. It begins now. */
  deadline(): Deadline {
    return new Deadline(this.config.timeoutMs);
  }

  /** Sends a read, which changes nothing, and repeats it once, in what is left of its time, if that may help. */
  async read<T>(operation: string, caller: Caller, response: z.ZodType<T>, call: Call, deadline: Deadline): Promise<T> {
    const send = () => this.send(this.reads, operation, caller, response, call, { deadline, isWrite: false });
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof ZitadelError) || !error.isWorthRepeating || deadline.hasPassed) throw error;
      return await send();
    }
  }

  /**
   * Sends a write, once: not at all if less than half of its time is left.
   *
   * @param operation the RPC's name, for error messages
   * @throws {ZitadelError}
   */
  async write<T>(
    operation: string,
    caller: Caller,
    response: z.ZodType<T>,
    call: Call,
    deadline: Deadline,
  ): Promise<T> {
    return this.send(this.writes, operation, caller, response, call, { deadline, isWrite: true });
  }

  private async send<T>(
    lane: Lane,
    operation: string,
    caller: Caller,
    response: z.ZodType<T>,
    { method, path, body, secrets = [] }: Call,
    patience: Parameters<Lane['exchange']>[1],
  ): Promise<T> {
    const watched = caller.watchCall(operation);
    const { authorization, 'accept-language': acceptLanguage } = caller.headers;
    const { traceparent, tracestate } = watched.traceHeaders ?? caller.headers;
    const headers = {
      accept: 'application/json',
      'accept-encoding': 'identity',
      'x-zitadel-instance-host': this.config.instanceHost,
      authorization,
      'accept-language': acceptLanguage,
      'content-type': body === null ? undefined : 'application/json',
      traceparent,
      tracestate,
    };
    const request = { operation, method, path: this.basePath + path, headers, body };
    try {
      const answer = await lane.exchange(request, patience);
      const token = authorization.replace(/^\S+ /, '');
      const parsed = parseAnswer(operation, response, answer, [token, ...secrets]);
      watched.end(answer.httpStatus);
      return parsed;
    } catch (error) {
      if (error instanceof ZitadelError) this.health.note(error);
      watched.end(error instanceof ZitadelError ? error.facts.httpStatus : undefined, error);
      throw error;
    }
  }

  /** @throws {ZitadelError} always: nobody is to see this user */
  private async probe(): Promise<never> {
    const deadline = new Deadline(Math.min(this.config.timeoutMs, probeTimeoutMs));
    const path = this.basePath + probePath;
    const headers = { accept: 'application/json', 'x-zitadel-instance-host': this.config.instanceHost };
    const request = { operation: 'Probe', method: 'GET', path, headers, body: null } as const;
    const answer = await this.probes.exchange(request, { deadline, isWrite: false });
    return parseAnswer('Probe', z.never(), answer);
  }

  /** Lets the calls in flight end. A probe is not waited for. */
  async close(): Promise<void> {
    this.health.close();
    await Promise.all([this.writes.close(), this.reads.close(), this.probes.destroy()]);
  }

  /** Breaks off the calls in flight. */
  async destroy(): Promise<void> {
    this.health.close();
    await Promise.all([this.writes.destroy(), this.reads.destroy(), this.probes.destroy()]);
  }
}
