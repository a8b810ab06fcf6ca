import type { GraphQLFormattedError } from 'graphql';
import { errorMessages, type ErrorCode, type ZitadelAnswer } from './errors.js';

/** Larger answers fill the memory of this server, and of the routers and readers that they wait for. */
export const maxAnswerBytes = 2 * 1024 * 1024;

/** How long ZITADEL's own id of an error may be; `COMMAND-ieJ2e` is a usual one. */
export const maxErrorIdLength = 64;

const longest = (texts: string[]) => texts.reduce((one, other) => (other.length > one.length ? other : one));

/** What an error of a read can weigh without its path, and without ZITADEL's own words. */
export const maxErrorBytes = JSON.stringify({
  message: longest(Object.values(errorMessages)),
  path: [],
  extensions: {
    code: longest(Object.keys(errorMessages)) as ErrorCode,
    zitadel: { code: 16, status: 'FAILED_PRECONDITION', httpStatus: 500, id: 'x'.repeat(maxErrorIdLength) },
  },
}).length;

/**
 * Writes an answer out. ZITADEL's own words are left out of all errors if the answer is too large with them: each of thousands of users
 * may repeat them, and their code and their id stay. No error is ever left out: null without an error means that there is no phone.
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
