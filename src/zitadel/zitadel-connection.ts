import type { Logger } from 'pino';
import * as z from 'zod';
import type { ZitadelConfig } from '../config/config.js';
import type { Failure } from '../failure.js';
import { failureOf } from '../failures.js';
import { parseAnswer } from './answer.js';
import type { Caller } from './caller.js';
import { connect } from './connect.js';
import { createConnector } from './connector.js';
import { Deadline, type UpstreamRequest } from './exchange.js';
import { Lane } from './lane.js';
import { rest, type ZitadelApi, type RpcRequest } from './rest.js';
import { ZitadelHealth } from './zitadel-health.js';

interface Call extends RpcRequest {
  /** The users in the message of ListUsers. */
  userIds?: readonly string[];
  smsCountry?: string | undefined;
  attempt?: number;
  /** Parts of the message that must not reach a log, even if ZITADEL quotes them. */
  secrets?: readonly string[];
}

/**
 * A read on a dead connection is repeated, so reads may reuse connections that have been idle for a long time. A write is never repeated,
 * and a load balancer in front of ZITADEL may close a connection after as little as a second of idling. So a write uses a new connection
 * or one that was busy a moment ago.
 */
const writeReuseMs = 500;
const readReuseMs = 4_000;
/** Absorbs bursts. Calls beyond this would time out in the queue anyway: see `Deadline`. */
const maxWaiting = 1_000;
const probeTimeoutMs = 2_000;
/** No user has this id. */
const probe: RpcRequest = { rpc: 'Probe', userId: '0', message: {} };
const apis: Record<ZitadelConfig['api'], ZitadelApi> = { rest, connect };

/** Makes calls to ZITADEL, each within a deadline. Never follows redirects. */
export class ZitadelConnection {
  readonly health: ZitadelHealth;
  readonly api: ZitadelApi;
  private readonly writes: Lane;
  private readonly reads: Lane;
  private readonly probes: Lane;
  private readonly basePath: string;

  constructor(
    private config: ZitadelConfig,
    private readonly logger: Logger,
  ) {
    this.api = apis[config.api];
    const { origin, pathname } = config.url;
    this.basePath = pathname.replace(/\/$/, '');
    const connector = createConnector(config, logger);
    // A write that starts late is likely to time out with an unknown outcome.
    this.writes = new Lane(origin, connector, { connections: 64, maxWaiting, reuseMs: writeReuseMs, startShare: 0.5 });
    this.reads = new Lane(origin, connector, { connections: 64, maxWaiting, reuseMs: readReuseMs, startShare: 1 });
    this.probes = new Lane(origin, connector, { connections: 1, maxWaiting: 0, reuseMs: readReuseMs, startShare: 1 });
    this.health = new ZitadelHealth(() => this.probe(), logger);
  }

  /** Opens new connections with the TLS files and the proxy of this configuration. Calls in flight finish on the old connections. */
  rotate(config: ZitadelConfig): void {
    const settings = ({ tls, proxy }: ZitadelConfig) => JSON.stringify([tls, proxy]);
    if (settings(config) === settings(this.config)) return;
    this.config = config;
    const connector = createConnector(config, this.logger);
    for (const lane of [this.writes, this.reads, this.probes]) lane.reconnect(connector);
  }

  /** Starts the time limit for all calls that one field needs: ZITADEL_TIMEOUT_MS. */
  deadline(): Deadline {
    return new Deadline(this.config.timeoutMs);
  }

  /**
   * Sends a read, and repeats it once if that may help and there is time left.
   *
   * @throws {Failure}
   */
  async read<T>(caller: Caller, response: z.ZodType<T>, call: Call, deadline: Deadline): Promise<T> {
    try {
      return await this.send(this.reads, caller, response, call, deadline);
    } catch (error) {
      if (!isWorthRepeating(failureOf(error)) || deadline.left() <= 0) throw error;
      return await this.send(this.reads, caller, response, { ...call, attempt: 2 }, deadline);
    }
  }

  /**
   * Sends a write at most once: not at all if less than half of its time is left.
   *
   * @throws {Failure}
   */
  write<T>(caller: Caller, response: z.ZodType<T>, call: Call, deadline: Deadline): Promise<T> {
    return this.send(this.writes, caller, response, call, deadline);
  }

  private async send<T>(
    lane: Lane,
    caller: Caller,
    response: z.ZodType<T>,
    call: Call,
    deadline: Deadline,
  ): Promise<T> {
    const { rpc, userId = '', userIds = [userId], smsCountry, attempt = 1, secrets = [] } = call;
    const watched = caller.watchCall({ rpc, userIds, smsCountry, attempt });
    const { authorization, 'accept-language': acceptLanguage } = caller.headers;
    const { traceparent, tracestate } = watched.traceHeaders ?? caller.headers;
    const headers = { authorization, 'accept-language': acceptLanguage, traceparent, tracestate };
    try {
      const answer = await lane.exchange(this.address(call, headers), deadline);
      const secretsOfRequest = () => [...authorization.split(/\s+/), ...secrets];
      const parsed = parseAnswer(rpc, response, answer, this.api.readError, secretsOfRequest);
      watched.end(answer.httpStatus);
      return parsed;
    } catch (error) {
      const failure = failureOf(error);
      this.health.note(failure);
      watched.end(failure.facts.call?.httpStatus, failure);
      throw failure;
    }
  }

  /** @throws {Failure} always: there is no successful answer to a probe */
  private async probe(): Promise<never> {
    const deadline = new Deadline(Math.min(this.config.timeoutMs, probeTimeoutMs));
    const answer = await this.probes.exchange(this.address(probe, {}), deadline);
    return parseAnswer('Probe', z.never(), answer, this.api.readError);
  }

  /** @param headers of the caller */
  private address(call: RpcRequest, headers: UpstreamRequest['headers']): UpstreamRequest {
    const { method, path, body } = this.api.address(call);
    const all = {
      // undici also uses it as the server name for TLS.
      host: this.config.host,
      accept: 'application/json',
      'accept-encoding': 'identity',
      'x-zitadel-instance-host': this.config.instanceHost,
      'content-type': body === null ? undefined : 'application/json',
      ...this.api.headers,
      ...headers,
    };
    return { rpc: call.rpc, method, path: this.basePath + path, headers: all, body };
  }

  /** Waits for the calls in flight, but not for a probe. */
  async close(): Promise<void> {
    this.health.close();
    await Promise.all([this.writes.close(), this.reads.close(), this.probes.destroy()]);
  }

  /** Aborts the calls in flight. */
  async destroy(): Promise<void> {
    this.health.close();
    await Promise.all([this.writes.destroy(), this.reads.destroy(), this.probes.destroy()]);
  }
}

/** Whether the same read is likely to succeed now: its connection broke, or ZITADEL was briefly unavailable. */
function isWorthRepeating({ facts: { call } }: Failure): boolean {
  if (!call || call.kind === 'timeout') return false;
  return call.sent && (call.connectionBroke === true || call.httpStatus === 503);
}
