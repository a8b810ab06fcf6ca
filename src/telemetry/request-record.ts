import type { IncomingHttpHeaders } from 'node:http';
import type { ErrorCode, Outcome } from '../errors.js';
import type { Failure, Rpc } from '../failure.js';
import type { StartedCall, TraceHeaders, WatchedCall } from '../zitadel/caller.js';

/** An operation as the client sent it, if it is valid. */
export interface RecordedOperation {
  kind: 'query' | 'mutation' | 'subscription';
  /** The name that the client gave it; undefined if it has none, or if it may contain a phone number. */
  name: string | undefined;
  /** Its root field in the schema, `several` or `none`. */
  field: string;
}

/** A call to ZITADEL that has ended. */
export interface RecordedCall {
  rpc: Rpc;
  /** How many users it read or changed. */
  users: number;
  smsCountry: string | undefined;
  attempt: number;
  httpStatus: number | undefined;
  code: ErrorCode | 'OK';
  outcome: Outcome;
  ms: number;
}

/** Begins the spans of a request: one for HTTP, inside it one for the operation, and inside that one for each call to ZITADEL. */
export interface Tracing {
  /** @param request its path is safe to show */
  begin(request: {
    method: string;
    path: string;
    route: string | undefined;
    headers: IncomingHttpHeaders;
  }): RequestTrace;
}

export interface RequestTrace {
  /** In hexadecimal, as in `traceparent`. */
  readonly traceId: string;
  /** Of the span for HTTP. */
  readonly spanId: string;
  beginOperation(operation: RecordedOperation): void;
  beginCall(rpc: Rpc): { headers: TraceHeaders; end(call: RecordedCall): void };
  end(record: RequestRecord): void;
}

export type CallObserver = (record: RequestRecord, call: RecordedCall, failure: Failure | undefined) => void;

const severity = { info: 0, warn: 1, error: 2 };

/**
 * Everything observable about one request: it becomes one log line, metrics and a trace. It never contains a token, a verification code or
 * a phone number.
 */
export class RequestRecord {
  operation: RecordedOperation | undefined;
  failures: readonly Failure[] = [];
  httpStatus = 0;
  totalMs = 0;
  /** How long at least one call to ZITADEL was in flight. */
  upstreamMs = 0;
  readonly calls: RecordedCall[] = [];
  private readonly calledFor = new Set<string>();
  private readonly beganAt = performance.now();
  private callsInFlight = 0;
  private upstreamSince = 0;

  /**
   * @param path see `safePath`
   * @param trace undefined if tracing is off
   */
  constructor(
    readonly id: string,
    readonly method: string,
    readonly path: string,
    readonly trace: RequestTrace | undefined,
    private readonly observeCall?: CallObserver,
  ) {}

  /** The most severe failure: the first, if several are equally severe. */
  get failure(): Failure | undefined {
    return this.failures.reduce<Failure | undefined>(
      (worst, one) => (worst && severity[worst.level] >= severity[one.level] ? worst : one),
      undefined,
    );
  }

  get code(): ErrorCode | 'OK' {
    return this.failure?.verdict.code ?? 'OK';
  }

  /** The users that the request was about. */
  get userIds(): ReadonlySet<string> {
    const refused = this.failures.map(({ facts }) => facts.userId).filter((userId) => userId !== undefined);
    return new Set([...this.calledFor, ...refused]);
  }

  beginOperation(operation: RecordedOperation): void {
    this.operation = operation;
    this.trace?.beginOperation(operation);
  }

  /** Observes a call to ZITADEL. */
  readonly watchCall = ({ rpc, userIds, smsCountry, attempt }: StartedCall): WatchedCall => {
    const span = this.trace?.beginCall(rpc);
    const beganAt = performance.now();
    for (const userId of userIds) this.calledFor.add(userId);
    if (this.callsInFlight === 0) this.upstreamSince = beganAt;
    this.callsInFlight += 1;
    return {
      traceHeaders: span?.headers,
      end: (httpStatus, failure) => {
        const endedAt = performance.now();
        this.callsInFlight -= 1;
        if (this.callsInFlight === 0) this.upstreamMs += endedAt - this.upstreamSince;
        const call: RecordedCall = {
          rpc,
          users: userIds.length,
          smsCountry,
          attempt,
          httpStatus,
          code: failure?.verdict.code ?? 'OK',
          // Neither a read nor a fault of ours has an outcome.
          outcome: failure ? (failure.facts.outcome ?? 'UNKNOWN') : 'DONE',
          ms: endedAt - beganAt,
        };
        this.calls.push(call);
        span?.end(call);
        this.observeCall?.(this, call, failure);
      },
    };
  };

  /** Call this when the answer is ready. */
  end(httpStatus: number): void {
    this.httpStatus = httpStatus;
    this.totalMs = performance.now() - this.beganAt;
    this.trace?.end(this);
  }
}
