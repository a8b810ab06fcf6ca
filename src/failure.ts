import {
  errors,
  type ErrorCode,
  type ErrorExtensions,
  type ErrorReason,
  type Outcome,
  type ZitadelAnswer,
} from './errors.js';

/** What a failure means: a code, and one of its reasons if it is known. */
export type Verdict = { [Code in ErrorCode]: { code: Code; reason?: ErrorReason<Code> } }[ErrorCode];

/** The level of a log line, by who has to act: nobody, the operator of ZITADEL or the network, or the developers of this server. */
export type Level = 'info' | 'warn' | 'error';

/** The default level by code; `info` for all others. */
export const levels: Partial<Record<ErrorCode, Level>> = {
  UPSTREAM_TIMEOUT: 'warn',
  UPSTREAM_UNAVAILABLE: 'warn',
  UPSTREAM_MISCONFIGURED: 'warn',
  UPSTREAM_ERROR: 'warn',
  INTERNAL_SERVER_ERROR: 'error',
};

/** The calls to ZITADEL. `Probe` is the health check: GetUserByID without a token. */
export type Rpc =
  'GetUserByID' | 'ListUsers' | 'Probe' | 'SetPhone' | 'ResendPhoneCode' | 'VerifyPhone' | 'RemovePhone';

/** What is known about a call to ZITADEL that failed, and about its answer. */
export interface FailedCall extends Partial<ZitadelAnswer> {
  rpc: Rpc;
  /**
   * - `rejected`: ZITADEL rejected it with its own JSON error;
   * - `foreign`: something other than ZITADEL answered: a redirect, no JSON, or an error without a google.rpc.Code;
   * - `malformed`: an answer began, but it was cut short, too large or in an unexpected shape;
   * - `timeout`: the deadline passed, or too little time was left to start a write;
   * - `unreachable`: there was no connection, or it broke before an answer began;
   * - `full`: too many calls were already waiting for a connection.
   */
  kind: 'rejected' | 'foreign' | 'malformed' | 'timeout' | 'unreachable' | 'full';
  /** Whether the request may have been sent. */
  sent: boolean;
  /** Whether the connection broke before the end of the answer, or could not be opened. */
  connectionBroke?: boolean;
  /** In seconds, from the answer's `Retry-After` or our own estimate. */
  retryAfter?: number;
}

/** What else is known about a failure. */
interface Facts {
  /** Of the mutation; undefined for a read. */
  outcome?: Outcome | undefined;
  /** The argument at fault. */
  argument?: 'userId' | 'number' | 'verificationCode' | undefined;
  /** In seconds. */
  retryAfter?: number | undefined;
  /** The user that could not be read or changed. */
  userId?: string;
  /** Replaces the text of the code or reason. */
  text?: string | undefined;
  /** Replaces the level of the code. */
  level?: Level | undefined;
  /** Of a VerifyPhone: whether a wrong verification code was tried. */
  guess?: Outcome;
  /** How many more codes the caller may try now, if they may not read the user. */
  attemptsLeft?: number | undefined;
  /** The same, if they may. */
  attemptsLeftOfReader?: number | undefined;
  /** Whether ZITADEL uses this error for several reasons. Reading the user may show which one it was. */
  isAmbiguous?: boolean;
  call?: FailedCall;
  zitadel?: ZitadelAnswer | undefined;
  /** What was thrown: for the log only. */
  cause?: unknown;
}

/** Appended to a message, to name the outcome unless nothing was done. */
const outcomeTexts: Record<Outcome, string> = {
  DONE: ' The change itself was made.',
  NOT_DONE: '',
  UNKNOWN: ' The change may have been made anyway.',
};

/** V8 captures no stack while this is undefined. */
const capture: { stackTraceLimit?: number | undefined } = Error;

/** The only kind of error that reaches clients. It captures no stack: the log would not show it, and the cause has its own. */
export class Failure extends Error {
  override readonly name = 'Failure';
  /** graphql-js copies it, and would otherwise capture a stack of its own. */
  override readonly stack = 'Failure';
  readonly level: Level;

  constructor(
    readonly verdict: Verdict,
    readonly facts: Facts = {},
  ) {
    const { text, reasons }: { text: string; reasons: Partial<Record<string, string>> } = errors[verdict.code];
    const message = facts.text ?? reasons[verdict.reason ?? ''] ?? text;
    const { stackTraceLimit } = capture;
    capture.stackTraceLimit = undefined;
    super(message + (facts.outcome ? outcomeTexts[facts.outcome] : ''), { cause: facts.cause });
    capture.stackTraceLimit = stackTraceLimit;
    this.level = facts.level ?? levels[verdict.code] ?? 'info';
  }

  /** The same failure with more facts, and perhaps another verdict. */
  with(facts: Facts, verdict = this.verdict): Failure {
    return new Failure(verdict, { ...this.facts, ...facts });
  }

  /** A method: graphql-js would read a property named `extensions` twice, for nothing. */
  toExtensions(): ErrorExtensions {
    const { outcome, argument, retryAfter, attemptsLeft, userId, zitadel } = this.facts;
    return {
      ...this.verdict,
      ...(outcome && { outcome }),
      ...(argument && { argument }),
      ...(retryAfter !== undefined && { retryAfter }),
      ...(attemptsLeft !== undefined && this.verdict.code === 'INVALID_VERIFICATION_CODE' && { attemptsLeft }),
      // Reads only: some gateways drop the list index from their path. A mutation has a path of its own.
      ...(userId !== undefined && !outcome && { userId }),
      ...(zitadel && { zitadel }),
    };
  }
}
