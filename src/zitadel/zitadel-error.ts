import { grpcCodes, type GrpcCode } from './grpc-code.js';

/**
 * Why a call failed:
 * - `rejected`: ZITADEL rejected it with its own JSON error;
 * - `foreign`: something other than ZITADEL answered: a redirect, or a content type other than JSON;
 * - `malformed`: an answer began, but it was cut short, too large or in an unexpected shape;
 * - `timeout`: the deadline passed, or too little time was left to start a write;
 * - `unreachable`: there was no connection, or it broke before an answer began;
 * - `full`: too many calls were already waiting for a connection.
 */
export type ZitadelErrorKind = 'rejected' | 'foreign' | 'malformed' | 'timeout' | 'unreachable' | 'full';

export interface ZitadelErrorFacts {
  /** Whether the request may have been sent. */
  sent: boolean;
  /** Whether the connection broke before the end of the answer, or could not be opened. */
  connectionBroke?: boolean;
  httpStatus?: number | undefined;
  /** The number in the body, google.rpc.Code. */
  code?: number | undefined;
  /** ZITADEL's id of the error, such as `COMMAND-ieJ2e`. */
  id?: string | undefined;
  /** ZITADEL's own message. Clients see it only if their request was at fault. */
  zitadelMessage?: string | undefined;
  /** The details as ZITADEL sent them, including unknown types. */
  details?: readonly unknown[] | undefined;
  /** In seconds, from the answer's `Retry-After` or our own estimate. */
  retryAfter?: number | undefined;
  /** What an operator needs to know about the answer. For the log only, never for a client. */
  note?: string | undefined;
}

/** google.rpc.Code by HTTP status, for an error whose body has no code. */
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

/** With these codes, the server may or may not have carried out the request. */
const undecided: ReadonlySet<GrpcCode | undefined> = new Set([
  'CANCELLED',
  'UNKNOWN',
  'DEADLINE_EXCEEDED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
]);

/** A failed call to ZITADEL. Its message is for the log: it names the call, and contains no token, code or phone number. */
export class ZitadelError extends Error {
  override readonly name = 'ZitadelError';
  /** Makes the log show the message unchanged. */
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

  /** The name of the code in the body; undefined for a number that is not in google.rpc.Code. */
  get status(): GrpcCode | undefined {
    return this.facts.code === undefined ? undefined : grpcCodes[this.facts.code];
  }

  /** The code that decides how a rejection is handled: from the body, or else from the HTTP status. */
  get effectiveStatus(): GrpcCode | undefined {
    const { code, httpStatus } = this.facts;
    if (this.kind !== 'rejected' || code !== undefined) return this.status;
    return httpStatus === undefined ? undefined : codeOfHttpStatus[httpStatus];
  }

  /** Whether ZITADEL may have carried out the request anyway. */
  get mayHaveHappened(): boolean {
    const { sent, httpStatus } = this.facts;
    if (!sent) return false;
    if (httpStatus === undefined) return true;
    if (httpStatus >= 200 && httpStatus < 300) return true;
    if (httpStatus >= 500 && this.effectiveStatus !== 'UNIMPLEMENTED') return true;
    return undecided.has(this.effectiveStatus);
  }

  /** Whether the same request may well succeed now: its connection broke, or ZITADEL was briefly unavailable. */
  get isWorthRepeating(): boolean {
    const { sent, connectionBroke = false, httpStatus } = this.facts;
    return this.kind !== 'timeout' && sent && (connectionBroke || httpStatus === 503);
  }
}
