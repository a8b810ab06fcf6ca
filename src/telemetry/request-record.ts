import type { IncomingHttpHeaders } from 'node:http';
import type { OperationTypeNode } from 'graphql';
import type { Outcome } from '../guard/checkpoint.js';
import type { GrpcCode } from '../zitadel/grpc-code.js';
import { ZitadelError, type ZitadelErrorKind } from '../zitadel/zitadel-error.js';
import type { TraceHeaders, WatchedCall } from '../zitadel/zitadel-connection.js';

/** The result of a call: ZITADEL's own code, or the kind of failure if there is none. */
export type CallCode = GrpcCode | Uppercase<Exclude<ZitadelErrorKind, 'rejected'>> | 'FAULT';

/** What is known about an HTTP request before it is processed. */
export interface HttpFacts {
  method: string;
  /** undefined if no route matches. */
  route: string | undefined;
  headers: IncomingHttpHeaders;
}

export interface RecordedCall {
  operation: string;
  httpStatus: number | undefined;
  code: CallCode;
  ms: number;
}

export interface RecordedOperation {
  kind: `${OperationTypeNode}`;
  /** The name that the client gave it. */
  name: string | undefined;
  /** Its root field in the schema, `several` or `none`. */
  field: string;
}

interface RecordedError {
  code: string;
  zitadelErrorId?: string | undefined;
  /** The underlying error, if it is not the client's fault. */
  cause?: unknown;
}

/** The spans of one request: HTTP, in it the operation, and in that each call to ZITADEL. */
export interface RequestTrace {
  beginOperation(operation: RecordedOperation): void;
  beginCall(operation: string): { headers: TraceHeaders; end(call: RecordedCall): void };
  end(record: RequestRecord): void;
}

/**
 * Everything observable about one request. Handlers fill it in; once the answer is ready, it becomes one log line, metrics and a trace. It
 * never contains a token, a verification code or a phone number.
 */
export class RequestRecord {
  operation: RecordedOperation | undefined;
  errors: readonly RecordedError[] = [];
  httpStatus = 0;
  totalMs = 0;
  /** How long at least one call to ZITADEL was in flight. */
  upstreamMs = 0;
  readonly userIds = new Set<string>();
  readonly calls: RecordedCall[] = [];
  /** The number of users of each batched read. */
  readonly batchSizes: number[] = [];
  /** For each call that would send an SMS: the variable of the limit that refused it, or its outcome. */
  readonly sms: (Outcome | { limit: string })[] = [];
  private readonly beganAt = performance.now();
  private callsInFlight = 0;
  private upstreamSince = 0;

  /** @param trace undefined if tracing is off */
  constructor(
    readonly id: string,
    readonly trace: RequestTrace | undefined,
  ) {}

  /** The code of the gravest error (the first, if several are equally grave), or OK. */
  get code(): string {
    const codes = this.errors.map(({ code }) => code);
    const gravest =
      codes.find((code) => code === 'INTERNAL_SERVER_ERROR') ?? codes.find((code) => code.startsWith('UPSTREAM_'));
    return gravest ?? codes[0] ?? 'OK';
  }

  /** Records that the whole request failed, and that it was not the client's fault. */
  fail(code: string, cause: unknown): void {
    this.errors = [{ code, cause }];
  }

  /** Records the start of a call to ZITADEL. */
  readonly watchCall = (operation: string): WatchedCall => {
    const span = this.trace?.beginCall(operation);
    const beganAt = performance.now();
    if (this.callsInFlight === 0) this.upstreamSince = beganAt;
    this.callsInFlight += 1;
    return {
      traceHeaders: span?.headers,
      end: (httpStatus, error) => {
        const endedAt = performance.now();
        this.callsInFlight -= 1;
        if (this.callsInFlight === 0) this.upstreamMs += endedAt - this.upstreamSince;
        const call = { operation, httpStatus, code: codeOfCall(error), ms: endedAt - beganAt };
        this.calls.push(call);
        span?.end(call);
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

function codeOfCall(error: unknown): CallCode {
  if (error === undefined) return 'OK';
  if (!(error instanceof ZitadelError)) return 'FAULT';
  if (error.kind === 'rejected') return error.effectiveStatus ?? 'UNKNOWN';
  return error.kind.toUpperCase() as CallCode;
}
