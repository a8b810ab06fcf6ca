import { grpcCodes, type GrpcCode } from './grpc-code.js';

/**
 * What became of a call that did not succeed:
 * - `rejected`: ZITADEL refused it, in its own JSON;
 * - `foreign`: something answered that is not ZITADEL: a redirect, or another content type than JSON;
 * - `malformed`: an answer began, but it is cut short, too large or of another shape;
 * - `timeout`: the deadline passed, or so much of it that a write was not started;
 * - `unreachable`: there was no connection, or it broke before an answer began;
 * - `full`: too many calls wait for a connection already.
 */
export type ZitadelErrorKind = 'rejected' | 'foreign' | 'malformed' | 'timeout' | 'unreachable' | 'full';

export interface ZitadelErrorFacts {
  /** Whether the request may have left this machine. */
  sent: boolean;
  /** Whether the connection did not hold until the end of the answer, or was never there. */
  connectionBroke?: boolean;
  httpStatus?: number | undefined;
  /** The number in the body, google.rpc.Code. */
  code?: number | undefined;
  /** ZITADEL's id of the error, such as `COMMAND-ieJ2e`. */
  id?: string | undefined;
  /** ZITADEL's own message: for the client, where the request was at fault. */
  zitadelMessage?: string | undefined;
  /** The details as ZITADEL sent them, of known and of unknown types. */
  details?: readonly unknown[] | undefined;
  /** Seconds, from the answer's `Retry-After`, or our own advice. */
  retryAfter?: number | undefined;
  /** What an operator needs of the answer: for the log, never for a client. */
  note?: string | undefined;
}

/** google.rpc.Code for an error whose body has no code, by its HTTP status. */
const codeOfHttpStatus: Partial<Record<number, GrpcCode>> = {
  400: 'INVALID_ARGUMENT',
  401: 'UNAUTHENTICATED',
  403: 'PERMISSION_DENIED',
  404: 'NOT_FOUND',
  405: 'UNIMPLEMENTED',
  409: 'ABORTED',
  429: 'RESOURCE_EXHAUSTED',
  499: 'CANCELLED',
  500: 'INTERNAL',
  501: 'UNIMPLEMENTED',
  502: 'UNAVAILABLE',
  503: 'UNAVAILABLE',
  504: 'DEADLINE_EXCEEDED',
};

/** Codes that leave open whether the server has done what it was asked. */
const undecided: ReadonlySet<GrpcCode | undefined> = new Set([
  'CANCELLED',
  'UNKNOWN',
  'DEADLINE_EXCEEDED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
]);

/** A call to ZITADEL that did not succeed. Its message is for the log: it names the call, and holds no token, code or number. */
export class ZitadelError extends Error {
  override readonly name = 'ZitadelError';
  /** So that the log shows the message as it is. */
  readonly isForLog = true;

  constructor(
    readonly operation: string,
    readonly kind: ZitadelErrorKind,
    readonly facts: ZitadelErrorFacts,
    cause?: unknown,
  ) {
    const { httpStatus, code, note } = facts;
    const known = [httpStatus && `HTTP ${httpStatus}`, code !== undefined && `code ${code}`].filter(Boolean);
    const status = known.length > 0 ? ` (${known.join(', ')})` : '';
    super(`${operation}: ${kind}${status}${note ? `: ${note}` : ''}`, { cause });
  }

  /** The name of the code in the body; undefined for a number that google.rpc.Code does not know. */
  get status(): GrpcCode | undefined {
    return this.facts.code === undefined ? undefined : grpcCodes[this.facts.code];
  }

  /** The code to judge a refusal by: the body's own, or where the body has none, the one of the HTTP status. */
  get effectiveStatus(): GrpcCode | undefined {
    const { code, httpStatus } = this.facts;
    if (this.kind !== 'rejected' || code !== undefined) return this.status;
    return httpStatus === undefined ? undefined : codeOfHttpStatus[httpStatus];
  }

  /** Whether ZITADEL may have done what it was asked all the same. */
  get mayHaveHappened(): boolean {
    const { sent, httpStatus } = this.facts;
    if (!sent) return false;
    if (httpStatus === undefined) return true;
    if (httpStatus >= 200 && httpStatus < 300) return true;
    if (httpStatus >= 500 && this.effectiveStatus !== 'UNIMPLEMENTED') return true;
    return undecided.has(this.effectiveStatus);
  }

  /** Whether the same request may well succeed now: its connection broke, or ZITADEL was not available for a moment. */
  get isWorthRepeating(): boolean {
    const { sent, connectionBroke = false, httpStatus } = this.facts;
    return this.kind !== 'timeout' && sent && (connectionBroke || httpStatus === 503);
  }
}
