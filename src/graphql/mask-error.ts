import { ApolloServerErrorCode, unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, isValueNode, Kind, print, type GraphQLFormattedError } from 'graphql';
import { CodedError, errorMessages } from '../errors.js';
import { maxNameLength } from './query-limits.js';
import { rebuildSentence } from './sentences.js';

const { INTERNAL_SERVER_ERROR, BAD_USER_INPUT, OPERATION_RESOLUTION_FAILURE } = ApolloServerErrorCode;

/** The generic messages for Apollo's own codes of requests that are refused before a resolver runs. */
const genericMessages: Partial<Record<string, string>> = {
  GRAPHQL_PARSE_FAILED: 'The document has a syntax error.',
  GRAPHQL_VALIDATION_FAILED: 'The document is not valid.',
  PERSISTED_QUERY_NOT_FOUND: 'Persisted queries are not supported.',
  PERSISTED_QUERY_NOT_SUPPORTED: 'Persisted queries are not supported.',
  BAD_USER_INPUT: 'The variables are not valid.',
  OPERATION_RESOLUTION_FAILURE: 'The operation cannot be run.',
  BAD_REQUEST: 'The request is not valid.',
};

/** An error about clashing names can have hundreds. */
const maxLocations = 10;

/**
 * Every GraphQL error passes through here. Our own errors and known sentences are let out. Everything else becomes a generic message, so
 * that nothing a library quotes, now or in a later version, leaves the server.
 */
export function maskError(formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError {
  const { path, locations } = formatted;
  const place = { ...(locations && { locations: locations.slice(0, maxLocations) }), ...(path && { path }) };
  const original = error instanceof GraphQLError ? error.originalError : undefined;
  if (original instanceof CodedError) {
    return { message: original.message, ...place, extensions: { ...original.extensions } };
  }
  const thrown = unwrapResolverError(error);
  const code: string = requestErrorCode(formatted, thrown) ?? INTERNAL_SERVER_ERROR;
  const message =
    code === (INTERNAL_SERVER_ERROR as string)
      ? errorMessages[INTERNAL_SERVER_ERROR]
      : (knownSentence(formatted.message, thrown) ?? genericMessages[code] ?? errorMessages.BAD_USER_INPUT);
  return { message, ...place, extensions: { code } };
}

/** @returns the code if the request is at fault; undefined if this server is */
function requestErrorCode(formatted: GraphQLFormattedError, thrown: unknown): string | undefined {
  const code = formatted.extensions?.['code'];
  if (formatted.path === undefined && typeof code === 'string' && Object.hasOwn(genericMessages, code)) return code;
  if (!(thrown instanceof GraphQLError)) return undefined;
  // Errors that graphql-js finds only during execution, and gives no code: null in a variable instead of the default, ...
  if (thrown.nodes?.[0]?.kind === Kind.VARIABLE) return BAD_USER_INPUT;
  // ... and a subscription, which this schema does not have.
  return thrown.nodes?.[0]?.kind === Kind.OPERATION_DEFINITION ? OPERATION_RESOLUTION_FAILURE : undefined;
}

function knownSentence(message: string, thrown: unknown): string | undefined {
  const node = thrown instanceof GraphQLError ? thrown.nodes?.[0] : undefined;
  if (
    node?.kind === Kind.VARIABLE_DEFINITION &&
    message.startsWith(`Variable "$${node.variable.name.value}" got invalid`)
  ) {
    const variable = node.variable.name.value;
    const type = print(node.type);
    return variable.length + type.length > maxNameLength
      ? undefined
      : `Variable "$${variable}" got a value that is not a valid ${type}.`;
  }
  return rebuildSentence(message) ?? (node && isValueNode(node) ? 'This value is not valid.' : undefined);
}
