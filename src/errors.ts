/** The closed list of the codes in `extensions.code` of our own errors, each with the message that goes with it. */
export const errorMessages = {
  UNAUTHENTICATED: 'The request carries no valid access token.',
  FORBIDDEN: 'The caller may not do this for this user.',
  NOT_FOUND: 'No user with this id is visible to the caller.',
  BAD_USER_INPUT: 'The input is not valid.',
  INVALID_VERIFICATION_CODE: 'The verification code is wrong, has expired or was used before.',
  FAILED_PRECONDITION: 'The contact phone is not in a state that allows this.',
  RATE_LIMITED: 'Too many requests: try again later.',
  UPSTREAM_TIMEOUT: 'The user service did not answer in time.',
  UPSTREAM_UNAVAILABLE: 'The user service cannot be reached.',
  UPSTREAM_MISCONFIGURED: 'The user service is not where this server looks for it.',
  UPSTREAM_ERROR: 'The user service failed.',
  INTERNAL_SERVER_ERROR: 'Something went wrong in this server.',
} as const;

export type ErrorCode = keyof typeof errorMessages;

/** What identifies ZITADEL's own answer, as far as it is known. */
export interface ZitadelAnswer {
  /** The number in the body, google.rpc.Code. */
  code?: number;
  /** The name of that number. */
  status?: string;
  httpStatus: number;
  /** Such as `COMMAND-ieJ2e`. The same id may mean different things in different operations. */
  id?: string;
}

/** ZITADEL's own answer where it speaks about the caller's request: with its message and details. */
export interface ZitadelRefusal extends ZitadelAnswer {
  /** In the caller's language (`Accept-Language`). */
  message?: string;
  details?: readonly unknown[];
}

interface Outcome {
  /** Present when the write may have happened all the same: do not just try again. */
  outcome?: 'UNKNOWN';
}

/** `errors[].extensions` of this subgraph: narrow on `code`. */
export type ErrorExtensions =
  | ({
      code:
        | 'UNAUTHENTICATED'
        | 'FORBIDDEN'
        | 'NOT_FOUND'
        | 'BAD_USER_INPUT'
        | 'INVALID_VERIFICATION_CODE'
        | 'FAILED_PRECONDITION';
      /** Absent when ZITADEL was not called, and when it left the user out of a list without a word. */
      zitadel?: ZitadelRefusal;
    } & Outcome)
  | ({
      code: 'RATE_LIMITED';
      /** Seconds, where it is known. */
      retryAfter?: number;
      zitadel?: ZitadelRefusal;
    } & Outcome)
  | ({
      code: 'UPSTREAM_UNAVAILABLE';
      /** Seconds, where it is known. */
      retryAfter?: number;
      /** Absent when nothing answered. */
      zitadel?: ZitadelAnswer;
    } & Outcome)
  | ({
      code: 'UPSTREAM_TIMEOUT' | 'UPSTREAM_MISCONFIGURED' | 'UPSTREAM_ERROR';
      /** Absent when nothing answered. */
      zitadel?: ZitadelAnswer;
    } & Outcome)
  | { code: 'INTERNAL_SERVER_ERROR' };

/** The one kind of error that reaches a client as it is; graphql-js takes its message and its extensions over. */
export class CodedError extends Error {
  override readonly name = 'CodedError';

  /** @param options `message` where it can say more than the code's own; `cause` for the log */
  constructor(
    readonly extensions: ErrorExtensions,
    options: { message?: string; cause?: Error } = {},
  ) {
    super(options.message ?? errorMessages[extensions.code], { cause: options.cause });
  }
}
