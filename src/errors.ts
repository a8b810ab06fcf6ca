/**
 * The contract of this subgraph's errors. Copy this file into your frontend: it imports nothing. `contactPhoneFailure`, at the end, reads the
 * errors of GraphQL clients.
 *
 * Every value of `extensions.code`, and if it can mean several things, every value of `extensions.reason`, each with an English text that a
 * frontend may show.
 */
export const errors = {
  UNAUTHENTICATED: {
    text: 'The request has no valid access token.',
    reasons: {
      TOKEN_MISSING: 'The request has no usable access token.',
      TOKEN_REFUSED: 'The access token is not valid, has expired, or was not issued for the user service.',
    },
  },
  FORBIDDEN: {
    text: 'The caller may not do this for this user.',
    reasons: { PERMISSION_MISSING: 'The caller does not have permission to do this for this user.' },
  },
  NOT_FOUND: {
    text: 'No user with this id is visible to the caller.',
    reasons: {
      USER_UNKNOWN: 'No user with this id is visible to the caller.',
      NOT_A_HUMAN: 'This user is a machine. Machines have no contact phone.',
    },
  },
  BAD_USER_INPUT: {
    text: 'The input is not valid.',
    reasons: {
      USER_ID_INVALID: 'The user id is not valid.',
      NUMBER_INVALID: 'The phone number is not valid.',
      NUMBER_WITHOUT_COUNTRY_CODE: 'The phone number must begin with + and a country calling code, such as +41.',
      NUMBER_WITH_EXTENSION: 'The phone number must not have an extension.',
      NUMBER_NOT_ALLOWED: 'SMS cannot be sent to this kind of phone number, or to its country.',
      CODE_MALFORMED: 'The verification code must have 1 to 20 characters.',
      REPRESENTATION_INVALID: 'A representation must have the __typename "User" and an id that is a string.',
      VARIABLES_INVALID: 'The variables are not valid.',
      TOO_MUCH_AT_ONCE: 'The request asks for too much at once.',
    },
  },
  INVALID_VERIFICATION_CODE: {
    text: 'The verification code is wrong, has expired, or has already been used.',
    reasons: {},
  },
  FAILED_PRECONDITION: {
    text: 'The user is not in a state that allows this.',
    reasons: {
      NO_PHONE: 'The user has no contact phone.',
      ALREADY_VERIFIED: 'The contact phone is already verified.',
      SAME_NUMBER: 'The contact phone already has this number.',
      NO_CODE_PENDING: 'There is no code to resend. If the phone is not verified, remove it and set it again.',
      USER_NOT_INITIALIZED: 'The user has not finished signing up yet.',
      NUMBER_NOT_ALLOWED: 'SMS cannot be sent to this kind of phone number, or to its country.',
    },
  },
  RATE_LIMITED: {
    text: 'Too many requests. Try again later.',
    reasons: {
      SMS_TO_USER: 'Too many SMS have been sent to this user. Try again later.',
      SMS_TO_NUMBER: 'Too many SMS have been sent to this number. Try again later.',
      SMS_BUDGET: 'Too many SMS have been sent to all users together. Try again later.',
      WRONG_CODES: 'Too many wrong verification codes have been tried. Try again later.',
      IN_PROGRESS: 'Another request is in progress. Try again in a moment.',
      UPSTREAM_QUOTA: 'The user service is not accepting more requests at the moment. Try again later.',
      INSTANCE_BLOCKED: 'The user service is blocked. Trying again will not help.',
    },
  },
  UPSTREAM_TIMEOUT: { text: 'The user service did not answer in time.', reasons: {} },
  UPSTREAM_UNAVAILABLE: {
    text: 'The user service is unavailable.',
    reasons: {
      NO_CONNECTION: 'The user service cannot be reached.',
      CONNECTION_LOST: 'The connection to the user service was lost.',
      BUSY: 'Too many requests are waiting for the user service. Try again in a moment.',
      SAYS_UNAVAILABLE: 'The user service is temporarily unavailable.',
    },
  },
  UPSTREAM_MISCONFIGURED: {
    text: 'Something other than the user service answered.',
    reasons: {
      INSTANCE_UNKNOWN: 'The user service does not know the configured host.',
      ROUTE_UNKNOWN: 'The user service does not know this route.',
      REDIRECTED: 'Something other than the user service answered with a redirect.',
      NOT_ZITADEL: 'Something other than the user service answered.',
    },
  },
  UPSTREAM_ERROR: { text: 'The user service failed.', reasons: {} },
  INTERNAL_SERVER_ERROR: { text: 'Something went wrong in this server.', reasons: {} },

  // A request that was refused before any of it ran. These codes are Apollo Server's, except ROUTER_SECRET_MISSING.
  BAD_REQUEST: { text: 'The request is not valid.', reasons: {} },
  ROUTER_SECRET_MISSING: { text: 'Only the router may call this server.', reasons: {} },
  GRAPHQL_PARSE_FAILED: { text: 'The document has a syntax error.', reasons: {} },
  GRAPHQL_VALIDATION_FAILED: { text: 'The document is not valid.', reasons: {} },
  OPERATION_RESOLUTION_FAILURE: { text: 'The operation cannot be run.', reasons: {} },
  PERSISTED_QUERY_NOT_SUPPORTED: { text: 'Persisted queries are not supported.', reasons: {} },
} as const;

export type ErrorCode = keyof typeof errors;

export type ErrorReason<Code extends ErrorCode = ErrorCode> = {
  [C in Code]: keyof (typeof errors)[C]['reasons'];
}[Code];

/**
 * Whether a mutation was carried out. Check in this order: if its field in `data` is not null, it was. Otherwise take the `outcome` of the
 * error at its path, or of an error without a path. Without either, it is unknown: something between you and this subgraph failed.
 */
export type Outcome = 'DONE' | 'NOT_DONE' | 'UNKNOWN';

/** ZITADEL's answer, as far as it is known. */
export interface ZitadelAnswer {
  /** The google.rpc.Code in the body. */
  code?: number;
  /** The name of that code. */
  status?: string;
  httpStatus: number;
  /** Such as `COMMAND-ieJ2e`. ZITADEL does not guarantee its ids, and reuses them: rely on `reason` instead. */
  id?: string;
  /**
   * ZITADEL's text, in the caller's preferred language or the instance's default. It and `details` are absent if the error is about
   * internals of the user service.
   */
  message?: string;
  details?: readonly unknown[];
}

interface Extensions<Code extends ErrorCode> {
  code: Code;
  reason?: ErrorReason<Code>;
  /** Present on every error of a mutation, and on every refusal of a request before any of it ran. Reads have none. */
  outcome?: Outcome;
  /** The argument at fault. */
  argument?: 'userId' | 'number' | 'verificationCode';
  /** Seconds after which trying again may help. Absent if unknown. */
  retryAfter?: number;
  /** With `INVALID_VERIFICATION_CODE`: how many more codes the caller may try now. Absent if there is no limit. */
  attemptsLeft?: number;
  /** The user that could not be read. Some gateways drop the index of a list from `path`. */
  userId?: string;
  /** Absent if ZITADEL did not answer. */
  zitadel?: ZitadelAnswer;
}

/** `errors[].extensions`: narrow on `code`, then on `reason`. */
export type ErrorExtensions = { [Code in ErrorCode]: Extensions<Code> }[ErrorCode];

/** What went wrong, as far as it is known. */
export interface ContactPhoneFailure {
  /** `UNKNOWN` if this subgraph did not make the error: the router or the network failed. */
  code: ErrorCode | 'UNKNOWN';
  reason?: ErrorReason | undefined;
  /** Whether the mutation was carried out. It says nothing about a query. */
  outcome: Outcome;
  /** See `Extensions`. */
  retryAfter?: number | undefined;
  attemptsLeft?: number | undefined;
  /** English text that you may show. */
  text: string;
}

/**
 * Finds the failure in an error of a GraphQL client, such as Apollo Client, urql, Relay or graphql-request, or in a GraphQL response.
 *
 * @param error what the client threw or returned
 */
export function contactPhoneFailure(error: unknown): ContactPhoneFailure {
  const extensions = errorsIn(error).map((one) => field(one, 'extensions'));
  const ours = extensions.find((one): one is ErrorExtensions => has(errors, field(one, 'code')));
  if (!ours) {
    const text = 'No usable answer arrived. Check the phone before you try again.';
    return { code: 'UNKNOWN', outcome: 'UNKNOWN', text };
  }
  const { code, reason, retryAfter, attemptsLeft } = ours;
  // Whatever else a newer server or a router may say, a person must check before they try again.
  const outcome = ours.outcome === 'DONE' || ours.outcome === 'NOT_DONE' ? ours.outcome : 'UNKNOWN';
  const { text, reasons }: { text: string; reasons: Partial<Record<ErrorReason, string>> } = errors[code];
  // A newer server may have reasons that are unknown here.
  if (!has(reasons, reason)) return { code, outcome, retryAfter, attemptsLeft, text };
  return { code, reason, outcome, retryAfter, attemptsLeft, text: reasons[reason] ?? text };
}

/** Apollo Client and responses have `errors`, urql has `graphQLErrors`, Relay has `source`, and graphql-request has `response`. */
function errorsIn(error: unknown): unknown[] {
  const holders = [error, field(error, 'source'), field(error, 'response')];
  const lists = holders.flatMap((holder) => [holder, field(holder, 'errors'), field(holder, 'graphQLErrors')]);
  return lists.find((list): list is unknown[] => Array.isArray(list) && list.length > 0) ?? [error];
}

function field(value: unknown, name: string): unknown {
  return (value as Record<string, unknown> | null | undefined)?.[name];
}

/** Unlike `in`, this does not find what every object inherits, such as `toString`. */
function has<Table extends object>(table: Table, key: unknown): key is keyof Table {
  return typeof key === 'string' && Object.hasOwn(table, key);
}
