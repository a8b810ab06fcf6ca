/** The closed list of the values of `extensions.code` in our own errors, each with its default message. */
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
  UPSTREAM_MISCONFIGURED: 'There is no user service at the configured address.',
  UPSTREAM_ERROR: 'The user service failed.',
  INTERNAL_SERVER_ERROR: 'Something went wrong in this server.',
} as const;

export type ErrorCode = keyof typeof errorMessages;

/** Identifies ZITADEL's own answer, as far as it is known. */
export interface ZitadelAnswer {
  /** The number in the body, google.rpc.Code. */
  code?: number;
  /** The name of that number. */
  status?: string;
  httpStatus: number;
  /** Such as `COMMAND-ieJ2e`. The same id may mean different things in different operations. */
  id?: string;
}

/** ZITADEL's own answer about the caller's request, with its message and details. */
export interface ZitadelRefusal extends ZitadelAnswer {
  /** In the caller's language (`Accept-Language`). */
  message?: string;
  details?: readonly unknown[];
}

interface Outcome {
  /** Present if the write may have happened anyway: do not simply retry. */
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
      /** Absent if ZITADEL was not called, or left the user out of a list without an error. */
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

/** The only kind of error that reaches clients unchanged. graphql-js copies its message and extensions. */
export class CodedError extends Error {
  override readonly name = 'CodedError';

  /** @param options `message` if there is a more specific one than the code's default; `cause` for the log */
  constructor(
    readonly extensions: ErrorExtensions,
    options: { message?: string; cause?: Error } = {},
  ) {
    super(options.message ?? errorMessages[extensions.code], { cause: options.cause });
  }
}
