import { unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, isValueNode, Kind, print, type GraphQLFormattedError, type OperationTypeNode } from 'graphql';
import type { Outcome } from '../errors.js';
import { Failure, type Verdict } from '../failure.js';
import { failureOf } from '../failures.js';
import { maxNameLength } from './documents.js';
import { rebuildSentence } from './sentences.js';

/** An error about clashing names can have hundreds. */
const maxLocations = 10;

/**
 * Turns a GraphQL error into a Failure. Only our own failures and known sentences keep their message; all others get a generic one. So nothing
 * that a library quotes, now or in a later version, leaves the server.
 *
 * @param kind of the operation; undefined if the document has none that can be executed
 */
export function maskError(error: GraphQLError, kind: `${OperationTypeNode}` | undefined): Failure {
  const { originalError = error } = error;
  const failure = (originalError instanceof Failure ? undefined : refusalOf(error)) ?? failureOf(originalError);
  const outcome = outcomeOf(error, kind, failure);
  return outcome === failure.facts.outcome ? failure : failure.with({ outcome });
}

/** @returns the error as the client sees it */
export function formatError({ path, locations }: GraphQLError, failure: Failure): GraphQLFormattedError {
  return {
    message: failure.message,
    ...(locations && { locations: locations.slice(0, maxLocations) }),
    ...(path && { path }),
    extensions: { ...failure.toExtensions() },
  };
}

function outcomeOf({ path }: GraphQLError, kind: string | undefined, { verdict, facts }: Failure): Outcome | undefined {
  const outcome = verdict.code === 'INTERNAL_SERVER_ERROR' ? 'UNKNOWN' : 'NOT_DONE';
  // Without a path, the operation was refused before any of it ran.
  if (!path) return outcome;
  if (kind !== 'mutation') return undefined;
  // Fields below a mutation are resolved only after it was carried out.
  return path.length > 1 ? 'DONE' : (facts.outcome ?? outcome);
}

/** Our verdicts, by the code that Apollo Server gives a refused request. */
const refusals: Partial<Record<string, Verdict>> = {
  GRAPHQL_PARSE_FAILED: { code: 'GRAPHQL_PARSE_FAILED' },
  GRAPHQL_VALIDATION_FAILED: { code: 'GRAPHQL_VALIDATION_FAILED' },
  OPERATION_RESOLUTION_FAILURE: { code: 'OPERATION_RESOLUTION_FAILURE' },
  PERSISTED_QUERY_NOT_SUPPORTED: { code: 'PERSISTED_QUERY_NOT_SUPPORTED' },
  BAD_REQUEST: { code: 'BAD_REQUEST' },
  BAD_USER_INPUT: { code: 'BAD_USER_INPUT', reason: 'VARIABLES_INVALID' },
};

/** @returns undefined if the request is not at fault */
function refusalOf(error: GraphQLError): Failure | undefined {
  const thrown = unwrapResolverError(error);
  if (!(thrown instanceof GraphQLError)) return undefined;
  const code = codeOf(thrown, error.path !== undefined);
  const verdict = Object.hasOwn(refusals, code) ? refusals[code] : undefined;
  return verdict && new Failure(verdict, { text: knownSentence(thrown) });
}

function codeOf({ extensions, nodes }: GraphQLError, isOfField: boolean): string {
  const code = extensions['code'];
  // An error with a code in a field comes from a library: the request is not at fault.
  if (typeof code === 'string') return isOfField ? '' : code;
  // graphql-js finds two errors only during execution, and gives them no code: null in a variable instead of the default, ...
  if (nodes?.[0]?.kind === Kind.VARIABLE) return 'BAD_USER_INPUT';
  // ... and a subscription, which this schema does not have.
  return nodes?.[0]?.kind === Kind.OPERATION_DEFINITION ? 'OPERATION_RESOLUTION_FAILURE' : '';
}

function knownSentence({ message, nodes }: GraphQLError): string | undefined {
  const node = nodes?.[0];
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
