import type { ErrorCode, Outcome, ZitadelAnswer } from './errors.js';
import { Failure, levels, type FailedCall, type Level, type Rpc, type Verdict } from './failure.js';

/** The names of google.rpc.Code, indexed by number: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto */
// prettier-ignore
const grpcCodes = [
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

type GrpcCode = (typeof grpcCodes)[number];

const reads: readonly Rpc[] = ['GetUserByID', 'ListUsers', 'Probe'];

/** The only codes that can have a `retryAfter`. */
export const codesWithRetryAfter: readonly ErrorCode[] = ['RATE_LIMITED', 'UPSTREAM_UNAVAILABLE'];

/** The conditions that a failed call must meet and, from `is` on, what the failure then means. */
interface Rule {
  rpc?: Rpc;
  kind?: FailedCall['kind'];
  sent?: boolean;
  http?: readonly (number | '2xx' | '3xx')[];
  status?: GrpcCode;
  /** null matches an error without an id. */
  id?: string | RegExp | null;
  /** How ZITADEL's message begins: for errors without an id. */
  says?: string;
  is: Verdict;
  /**
   * Of a write; NOT_DONE if omitted. Regardless of this, a call that was not sent is NOT_DONE, and an HTTP status of 500 or more is UNKNOWN,
   * except for UNIMPLEMENTED.
   */
  outcome?: 'UNKNOWN';
  level?: Level;
  argument?: 'number';
  /** The exception to what counts as a wrong code: see `mayBeWrongCode`. */
  isNeverWrongCode?: true;
  /** ZITADEL uses this error for several reasons. Reading the user may show which one it was. */
  isAmbiguous?: true;
  /** The usual cause: a hint for the operator. */
  usually?: string;
}

/** With these statuses, something in front of ZITADEL answers a request that it did not pass on. */
const notPassedOn = ['3xx', 400, 401, 404, 405, 411, 413, 414, 415, 421, 429, 431] as const;

/** Every failed call is classified by the first rule that fits. */
// prettier-ignore
const rules: readonly Rule[] = [
  // No answer, or one that cannot be read.
  { kind: 'timeout', is: { code: 'UPSTREAM_TIMEOUT' }, outcome: 'UNKNOWN' },
  { kind: 'full', is: { code: 'UPSTREAM_UNAVAILABLE', reason: 'BUSY' } },
  { kind: 'unreachable', sent: false, is: { code: 'UPSTREAM_UNAVAILABLE', reason: 'NO_CONNECTION' } },
  { kind: 'unreachable', is: { code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST' }, outcome: 'UNKNOWN' },
  { kind: 'malformed', http: notPassedOn, is: { code: 'UPSTREAM_ERROR' } },
  { kind: 'malformed', is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN' },
  // Something other than ZITADEL answered. It may have replaced ZITADEL's answer, as firewalls do with a 403.
  { kind: 'foreign', http: ['3xx'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'REDIRECTED' } },
  { kind: 'foreign', http: [429], is: { code: 'RATE_LIMITED', reason: 'UPSTREAM_QUOTA' }, level: 'warn' },
  { kind: 'foreign', http: notPassedOn, is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' } },
  { kind: 'foreign', http: ['2xx'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' }, outcome: 'UNKNOWN' },
  { kind: 'foreign', http: [408, 504, 524], is: { code: 'UPSTREAM_TIMEOUT' }, outcome: 'UNKNOWN' },
  { kind: 'foreign', http: [502, 503, 521, 522, 523], is: { code: 'UPSTREAM_UNAVAILABLE', reason: 'SAYS_UNAVAILABLE' }, outcome: 'UNKNOWN' },
  { kind: 'foreign', is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN' },
  // ZITADEL's own errors. It reuses ids, so an id means something only together with the status, and often the RPC.
  { rpc: 'VerifyPhone', status: 'INVALID_ARGUMENT', id: 'COMMAND-eis9R', is: { code: 'INVALID_VERIFICATION_CODE' }, isAmbiguous: true },
  { rpc: 'SetPhone', status: 'INVALID_ARGUMENT', id: 'PHONE-so0wa', is: { code: 'BAD_USER_INPUT', reason: 'NUMBER_INVALID' }, argument: 'number' },
  { rpc: 'SetPhone', status: 'FAILED_PRECONDITION', id: 'COMMAND-Uch5e', is: { code: 'FAILED_PRECONDITION', reason: 'SAME_NUMBER' } },
  { rpc: 'ResendPhoneCode', status: 'FAILED_PRECONDITION', id: 'PHONE-5xrra88eq8', is: { code: 'FAILED_PRECONDITION', reason: 'NO_CODE_PENDING' }, isAmbiguous: true },
  { rpc: 'RemovePhone', status: 'FAILED_PRECONDITION', id: 'COMMAND-ieJ2e', is: { code: 'FAILED_PRECONDITION', reason: 'NO_PHONE' } },
  { status: 'FAILED_PRECONDITION', id: 'COMMAND-uz0Uu', is: { code: 'FAILED_PRECONDITION', reason: 'USER_NOT_INITIALIZED' }, isNeverWrongCode: true },
  { status: 'NOT_FOUND', id: 'COMMAND-ieJ2e', is: { code: 'NOT_FOUND', reason: 'USER_UNKNOWN' }, isAmbiguous: true },
  { status: 'NOT_FOUND', id: /^AUTHZ-/, is: { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING' } },
  { status: 'NOT_FOUND', id: null, says: 'unable to set instance', is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'INSTANCE_UNKNOWN' } },
  { status: 'NOT_FOUND', id: null, is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'ROUTE_UNKNOWN' } },
  { status: 'PERMISSION_DENIED', id: 'AUTH-Bs7Ds', is: { code: 'UPSTREAM_ERROR' }, usually: "ZITADEL's database is failing" },
  { status: 'INTERNAL', id: 'RECOVER', is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN', usually: 'the SMS provider is Twilio Verify, which returns no codes' },
  { status: 'RESOURCE_EXHAUSTED', id: 'LIMITS-molsj', is: { code: 'RATE_LIMITED', reason: 'INSTANCE_BLOCKED' }, level: 'warn' },
  // Its other errors, by status.
  { status: 'UNAUTHENTICATED', is: { code: 'UNAUTHENTICATED', reason: 'TOKEN_REFUSED' } },
  { status: 'PERMISSION_DENIED', is: { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING' } },
  { status: 'NOT_FOUND', is: { code: 'NOT_FOUND', reason: 'USER_UNKNOWN' } },
  { status: 'INVALID_ARGUMENT', is: { code: 'BAD_USER_INPUT' } },
  { status: 'ALREADY_EXISTS', is: { code: 'FAILED_PRECONDITION' } },
  { status: 'FAILED_PRECONDITION', is: { code: 'FAILED_PRECONDITION' } },
  { status: 'ABORTED', is: { code: 'FAILED_PRECONDITION' } },
  { status: 'OUT_OF_RANGE', is: { code: 'FAILED_PRECONDITION' } },
  { status: 'RESOURCE_EXHAUSTED', is: { code: 'RATE_LIMITED', reason: 'UPSTREAM_QUOTA' }, level: 'warn' },
  { status: 'UNIMPLEMENTED', is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'ROUTE_UNKNOWN' } },
  { status: 'DEADLINE_EXCEEDED', is: { code: 'UPSTREAM_TIMEOUT' }, outcome: 'UNKNOWN' },
  { status: 'UNAVAILABLE', is: { code: 'UPSTREAM_UNAVAILABLE', reason: 'SAYS_UNAVAILABLE' }, outcome: 'UNKNOWN' },
];

/** If no rule fits: CANCELLED, UNKNOWN, INTERNAL and DATA_LOSS. */
const otherwise: Rule = { is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN' };

/**
 * Turns a failed call into a Failure, by the rules. Builds a cause only if the log will show one, which it does not for most refusals.
 *
 * @param cause for the log, such as a network error
 * @param note what an operator needs to know; called only if there is a cause to log
 */
export function failedCall(call: FailedCall, cause?: unknown, note?: () => string | undefined): Failure {
  const rule = rules.find((one) => fits(one, call)) ?? otherwise;
  const { is, level = levels[rule.is.code], argument, isNeverWrongCode, isAmbiguous = false, usually } = rule;
  const outcome = outcomeOf(call, rule);
  return new Failure(is, {
    outcome: reads.includes(call.rpc) ? undefined : outcome,
    guess: mayBeWrongCode(call) && !isNeverWrongCode ? 'DONE' : outcome,
    retryAfter: codesWithRetryAfter.includes(is.code) ? call.retryAfter : undefined,
    level,
    argument,
    isAmbiguous,
    call,
    zitadel: answerOf(call, levels[is.code] === undefined),
    cause: level && new ZitadelError(call, [note?.(), usually && `usually this means that ${usually}`], cause),
  });
}

/** Turns anything thrown into a Failure. Anything that is not one already is a fault of this server. */
export function failureOf(thrown: unknown): Failure {
  return thrown instanceof Failure ? thrown : new Failure({ code: 'INTERNAL_SERVER_ERROR' }, { cause: thrown });
}

/**
 * The failure of an HTTP request that got no GraphQL result: this server refused it, or a fault ended it.
 *
 * @param httpStatus of the answer; 500 or more is a fault
 * @param text replaces the text of the code, unless it is a fault
 * @param cause for the log
 */
export function refusedRequest(httpStatus: number, text?: string, cause?: unknown): Failure {
  if (httpStatus >= 500) return new Failure({ code: 'INTERNAL_SERVER_ERROR' }, { outcome: 'UNKNOWN', cause });
  const code = httpStatus === 403 ? 'ROUTER_SECRET_MISSING' : 'BAD_REQUEST';
  return new Failure({ code }, { outcome: 'NOT_DONE', text });
}

function fits({ rpc, kind, sent, http, status, id, says = '' }: Rule, call: FailedCall): boolean {
  const { httpStatus = 0, message = '' } = call;
  return (
    (kind === undefined || kind === call.kind) &&
    (status === undefined || status === statusOf(call)) &&
    (rpc === undefined || rpc === call.rpc) &&
    (sent === undefined || sent === call.sent) &&
    (http?.some((one) => one === httpStatus || one === `${Math.floor(httpStatus / 100)}xx`) ?? true) &&
    (id === undefined || (id instanceof RegExp ? id.test(call.id ?? '') : id === (call.id ?? null))) &&
    message.startsWith(says)
  );
}

/**
 * Whether a failed VerifyPhone counts as a wrong code. A refusal that cannot be read might be one, in this or a later version of ZITADEL,
 * so it counts too: otherwise guessing would be unlimited.
 */
function mayBeWrongCode({ code, httpStatus }: FailedCall): boolean {
  // INVALID_ARGUMENT, ALREADY_EXISTS, FAILED_PRECONDITION, ABORTED, OUT_OF_RANGE.
  return code === undefined ? httpStatus === 400 : [3, 6, 9, 10, 11].includes(code);
}

function outcomeOf(call: FailedCall, { outcome }: Rule): Outcome {
  const { sent, httpStatus = 0 } = call;
  if (!sent) return 'NOT_DONE';
  return httpStatus >= 500 && statusOf(call) !== 'UNIMPLEMENTED' ? 'UNKNOWN' : (outcome ?? 'NOT_DONE');
}

/** @param withText whether to include ZITADEL's message and details, which must not reach clients if they are about internals */
function answerOf(call: FailedCall, withText: boolean): ZitadelAnswer | undefined {
  const { httpStatus, code, id, message, details } = call;
  if (httpStatus === undefined) return undefined;
  const status = statusOf(call);
  return {
    ...(code !== undefined && { code }),
    ...(status && { status }),
    httpStatus,
    ...(id !== undefined && { id }),
    ...(withText && message !== undefined && { message }),
    ...(withText && details && { details }),
  };
}

function statusOf({ code }: FailedCall): GrpcCode | undefined {
  return code === undefined ? undefined : grpcCodes[code];
}

/** Explains a failed call in the log. Its message contains no token, code or phone number. */
class ZitadelError extends Error {
  override readonly name = 'ZitadelError';
  /** Makes the log show the message unchanged. */
  readonly isForLog = true;

  constructor({ rpc, kind, httpStatus, code }: FailedCall, notes: readonly (string | undefined)[], cause: unknown) {
    const known = [httpStatus && `HTTP ${httpStatus}`, code !== undefined && `code ${code}`].filter(Boolean).join(', ');
    const noted = notes.filter(Boolean).join('; ');
    super(`${rpc}: ${kind}${known && ` (${known})`}${noted && `: ${noted}`}`, { cause });
  }
}
