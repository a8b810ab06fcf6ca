import { CodedError, type ErrorCode, type ErrorExtensions, type ZitadelRefusal } from '../errors.js';
import { LimitReached, type Outcome } from '../guard/checkpoint.js';
import type { GrpcCode } from '../zitadel/grpc-code.js';
import { ZitadelError } from '../zitadel/zitadel-error.js';

const codeOfStatus: Partial<Record<GrpcCode, ErrorCode>> = {
  INVALID_ARGUMENT: 'BAD_USER_INPUT',
  DEADLINE_EXCEEDED: 'UPSTREAM_TIMEOUT',
  ALREADY_EXISTS: 'FAILED_PRECONDITION',
  PERMISSION_DENIED: 'FORBIDDEN',
  RESOURCE_EXHAUSTED: 'RATE_LIMITED',
  FAILED_PRECONDITION: 'FAILED_PRECONDITION',
  ABORTED: 'FAILED_PRECONDITION',
  OUT_OF_RANGE: 'FAILED_PRECONDITION',
  UNIMPLEMENTED: 'UPSTREAM_MISCONFIGURED',
  UNAVAILABLE: 'UPSTREAM_UNAVAILABLE',
  UNAUTHENTICATED: 'UNAUTHENTICATED',
};

/** Statuses of a proxy in front of ZITADEL. Any other status means that the URL or the host is wrong. */
const codeOfForeignHttpStatus: Partial<Record<number, ErrorCode>> = {
  429: 'RATE_LIMITED',
  502: 'UPSTREAM_UNAVAILABLE',
  503: 'UPSTREAM_UNAVAILABLE',
  504: 'UPSTREAM_TIMEOUT',
};

/** The codes with a `retryAfter`, if it is known. */
const mayRetry: ReadonlySet<ErrorCode> = new Set(['RATE_LIMITED', 'UPSTREAM_UNAVAILABLE']);

/** ZITADEL reuses ids across operations, so only the three together mean a wrong, expired or used code. */
const wrongCode = 'VerifyPhone INVALID_ARGUMENT COMMAND-eis9R';

/** Turns the failure of a write into the error for the client. Unexpected errors are returned unchanged. */
export function writeError(error: unknown): unknown {
  if (error instanceof LimitReached) {
    return new CodedError({ code: 'RATE_LIMITED', retryAfter: error.retryAfter }, { cause: error });
  }
  if (!(error instanceof ZitadelError)) return error;
  return codedError(error, error.mayHaveHappened ? { outcome: 'UNKNOWN' } : {});
}

/** Whether an SMS was sent. */
export function outcomeOfSms(error?: unknown): Outcome {
  return error === undefined ? 'COUNTS' : outcomeOfFailure(error);
}

/** Whether a wrong verification code was tried. */
export function outcomeOfGuess(error?: unknown): Outcome {
  if (error === undefined) return 'COUNTS_NOT';
  const isWrong = error instanceof ZitadelError && codeOf(error) === 'INVALID_VERIFICATION_CODE';
  return isWrong ? 'COUNTS' : outcomeOfFailure(error);
}

/** A CodedError was thrown before the write. A fault of our own may have happened after it. */
function outcomeOfFailure(error: unknown): Outcome {
  if (error instanceof CodedError) return 'COUNTS_NOT';
  return error instanceof ZitadelError && !error.mayHaveHappened ? 'COUNTS_NOT' : 'UNKNOWN';
}

/** The same for a read, which has no `outcome`. */
export function readError(error: unknown): unknown {
  return error instanceof ZitadelError ? codedError(error) : error;
}

function codedError(error: ZitadelError, outcome: { outcome?: 'UNKNOWN' } = {}): CodedError {
  const code = codeOf(error);
  const extensions = {
    code,
    ...(error.facts.httpStatus !== undefined && { zitadel: original(error, code.startsWith('UPSTREAM_')) }),
    ...(mayRetry.has(code) && error.facts.retryAfter !== undefined && { retryAfter: error.facts.retryAfter }),
    ...outcome,
  } as ErrorExtensions;
  return new CodedError(extensions, { cause: error });
}

function codeOf({ operation, kind, facts, effectiveStatus }: ZitadelError): ErrorCode {
  switch (kind) {
    case 'timeout':
      return 'UPSTREAM_TIMEOUT';
    case 'unreachable':
    case 'full':
      return 'UPSTREAM_UNAVAILABLE';
    case 'malformed':
      return 'UPSTREAM_ERROR';
    case 'foreign':
      return codeOfForeignHttpStatus[facts.httpStatus ?? 0] ?? 'UPSTREAM_MISCONFIGURED';
    case 'rejected':
      if (effectiveStatus === 'NOT_FOUND') return codeOfNotFound(facts.id);
      if (`${operation} ${effectiveStatus} ${facts.id}` === wrongCode) return 'INVALID_VERIFICATION_CODE';
      return (effectiveStatus && codeOfStatus[effectiveStatus]) ?? 'UPSTREAM_ERROR';
  }
}

/** ZITADEL answers NOT_FOUND for the user, for the caller's membership, and for a route or instance that does not exist. */
function codeOfNotFound(id: string | undefined): ErrorCode {
  if (id === undefined) return 'UPSTREAM_MISCONFIGURED';
  return id.startsWith('AUTHZ-') ? 'FORBIDDEN' : 'NOT_FOUND';
}

/** ZITADEL's own answer, as far as it is known. Without its message and details if they are about internals. */
function original({ facts, status }: ZitadelError, isInternal: boolean): Partial<ZitadelRefusal> {
  const { code, httpStatus, id, zitadelMessage: message, details } = facts;
  const known = { code, status, httpStatus, id, ...(!isInternal && { message, details }) };
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}
