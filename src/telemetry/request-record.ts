import type { IncomingHttpHeaders } from 'node:http';
import type { OperationTypeNode } from 'graphql';
import type { Outcome } from '../guard/checkpoint.js';
import type { GrpcCode } from '../zitadel/grpc-code.js';
import { ZitadelError, type ZitadelErrorKind } from '../zitadel/zitadel-error.js';
import type { TraceHeaders, WatchedCall } from '../zitadel/zitadel-connection.js';

/** What became of a call: ZITADEL's own code, or the kind of the failure where there is none. */
export type CallCode = GrpcCode | Uppercase<Exclude<ZitadelErrorKind, 'rejected'>> | 'FAULT';

/** What of an HTTP request is told before anything is made of it. */
export interface HttpFacts {
  method: string;
  /** undefined where there is nothing. */
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
  /** As the client calls it. */
  name: string | undefined;
  /** Its root field, which is one of the schema's; `several`, or `none` of those. */
  field: string;
}

interface RecordedError {
  code: string;
  zitadelErrorId?: string | undefined;
  /** What is behind it, where that is not the client's doing. */
  cause?: unknown;
}

/** The spans of one request: HTTP, the operation within it, and each call to ZITADEL within that. */
export interface RequestTrace {
  beginOperation(operation: RecordedOperation): void;
  beginCall(operation: string): { headers: TraceHeaders; end(call: RecordedCall): void };
  end(record: RequestRecord): void;
}

/**
 * What is to be told of one request. Whoever handles the request writes down what he knows; when its answer is ready, the log, the
 * metrics and the trace are made of it. It holds no token, no verification code and no phone number.
 */
export class RequestRecord {
  operation: RecordedOperation | undefined;
  errors: readonly RecordedError[] = [];
  httpStatus = 0;
  totalMs = 0;
  /** How long calls to ZITADEL were under way, one or several at a time. */
  upstreamMs = 0;
  readonly userIds = new Set<string>();
  readonly calls: RecordedCall[] = [];
  /** How many users were asked for at once, by call. */
  readonly batchSizes: number[] = [];
  /** What became of what would have made ZITADEL send an SMS: the variable of the limit that held it back, or its outcome. */
  readonly sms: (Outcome | { limit: string })[] = [];
  private readonly beganAt = performance.now();
  private callsUnderWay = 0;
  private upstreamSince = 0;

  /** @param trace undefined when there are no traces */
  constructor(
    readonly id: string,
    readonly trace: RequestTrace | undefined,
  ) {}

  /** The code of its gravest error, or of the first of several as grave; or OK. */
  get code(): string {
    const codes = this.errors.map(({ code }) => code);
    const gravest =
      codes.find((code) => code === 'INTERNAL_SERVER_ERROR') ?? codes.find((code) => code.startsWith('UPSTREAM_'));
    return gravest ?? codes[0] ?? 'OK';
  }

  /** It fails as a whole, and not by the client's doing. */
  fail(code: string, cause: unknown): void {
    this.errors = [{ code, cause }];
  }

  /** A call to ZITADEL begins. */
  readonly watchCall = (operation: string): WatchedCall => {
    const span = this.trace?.beginCall(operation);
    const beganAt = performance.now();
    if (this.callsUnderWay === 0) this.upstreamSince = beganAt;
    this.callsUnderWay += 1;
    return {
      traceHeaders: span?.headers,
      end: (httpStatus, error) => {
        const endedAt = performance.now();
        this.callsUnderWay -= 1;
        if (this.callsUnderWay === 0) this.upstreamMs += endedAt - this.upstreamSince;
        const call = { operation, httpStatus, code: codeOfCall(error), ms: endedAt - beganAt };
        this.calls.push(call);
        span?.end(call);
      },
    };
  };

  /** Its answer is ready. */
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
