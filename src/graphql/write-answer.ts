import type { GraphQLFormattedError } from 'graphql';
import { errorMessages, type ErrorCode, type ZitadelAnswer } from '../errors.js';

/** Larger answers could fill the memory of this server, and of the routers and clients that read them. */
export const maxAnswerBytes = 2 * 1024 * 1024;

/** The maximum length of ZITADEL's own error id. A typical one is `COMMAND-ieJ2e`. */
export const maxErrorIdLength = 64;

const longest = (texts: string[]) => texts.reduce((one, other) => (other.length > one.length ? other : one));

/** The maximum size of a read error without its path and without ZITADEL's message and details. */
export const maxErrorBytes = JSON.stringify({
  message: longest(Object.values(errorMessages)),
  path: [],
  extensions: {
    code: longest(Object.keys(errorMessages)) as ErrorCode,
    zitadel: { code: 16, status: 'FAILED_PRECONDITION', httpStatus: 500, id: 'x'.repeat(maxErrorIdLength) },
  },
}).length;

/**
 * Serialises an answer. If it is too large, ZITADEL's message and details are left out of all errors: thousands of users may repeat them.
 * Its code and id stay, and no error is ever left out, because null without an error means that the user has no phone.
 */
export function writeAnswer(errors: readonly GraphQLFormattedError[] | undefined, data: unknown): string {
  // Errors first: https://spec.graphql.org/October2021/#note-6f005
  const body = JSON.stringify({ errors, data });
  if (!errors || Buffer.byteLength(body) <= maxAnswerBytes) return body;
  return JSON.stringify({ errors: errors.map(withoutWords), data });
}

function withoutWords(error: GraphQLFormattedError): GraphQLFormattedError {
  const zitadel = error.extensions?.['zitadel'] as ZitadelAnswer | undefined;
  if (!zitadel) return error;
  const { code, status, httpStatus, id } = zitadel;
  return { ...error, extensions: { ...error.extensions, zitadel: { code, status, httpStatus, id } } };
}
