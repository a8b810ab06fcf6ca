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

/** What stands in front of ZITADEL may answer in its place; anything else means that the URL or the host is wrong. */
const codeOfForeignHttpStatus: Partial<Record<number, ErrorCode>> = {
  429: 'RATE_LIMITED',
  502: 'UPSTREAM_UNAVAILABLE',
  503: 'UPSTREAM_UNAVAILABLE',
  504: 'UPSTREAM_TIMEOUT',
};

/** The codes that come with a time to wait, where it is known. */
const mayRetry: ReadonlySet<ErrorCode> = new Set(['RATE_LIMITED', 'UPSTREAM_UNAVAILABLE']);

/** ZITADEL's ids are reused across operations, so only the three together mean a wrong, expired or used code. */
const wrongCode = 'VerifyPhone INVALID_ARGUMENT COMMAND-eis9R';

/** Turns what became of a write into the error that the client gets. What is of neither kind is passed on. */
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

/** Whether a verification code was tried that is wrong. */
export function outcomeOfGuess(error?: unknown): Outcome {
  if (error === undefined) return 'COUNTS_NOT';
  const isWrong = error instanceof ZitadelError && codeOf(error) === 'INVALID_VERIFICATION_CODE';
  return isWrong ? 'COUNTS' : outcomeOfFailure(error);
}

/** What is coded already has failed before the write. A fault of our own may come after it. */
function outcomeOfFailure(error: unknown): Outcome {
  if (error instanceof CodedError) return 'COUNTS_NOT';
  return error instanceof ZitadelError && !error.mayHaveHappened ? 'COUNTS_NOT' : 'UNKNOWN';
}

/** The same for a read, whose outcome leaves nothing to wonder about. */
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

/** ZITADEL says NOT_FOUND of the user, of the caller's membership, and of a route or instance that does not exist. */
function codeOfNotFound(id: string | undefined): ErrorCode {
  if (id === undefined) return 'UPSTREAM_MISCONFIGURED';
  return id.startsWith('AUTHZ-') ? 'FORBIDDEN' : 'NOT_FOUND';
}

/** ZITADEL's own answer as far as it is known. What it says of its internals stays inside. */
function original({ facts, status }: ZitadelError, isInternal: boolean): Partial<ZitadelRefusal> {
  const { code, httpStatus, id, zitadelMessage: message, details } = facts;
  const known = { code, status, httpStatus, id, ...(!isInternal && { message, details }) };
  return Object.fromEntries(Object.entries(known).filter(([, value]) => value !== undefined));
}
