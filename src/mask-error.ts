import { ApolloServerErrorCode, unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, Kind, isValueNode, print, type GraphQLFormattedError } from 'graphql';
import { CodedError, errorMessages } from './errors.js';

const { INTERNAL_SERVER_ERROR, BAD_USER_INPUT, OPERATION_RESOLUTION_FAILURE } = ApolloServerErrorCode;

/** Apollo's own refusals of a request, which happen before a resolver runs. */
const requestErrorCodes: ReadonlySet<unknown> = new Set(
  Object.values(ApolloServerErrorCode).filter((code) => code !== INTERNAL_SERVER_ERROR),
);

/**
 * The edge that every GraphQL error passes: a coded error as it is, a refusal of the request without the values it quotes, and
 * anything else as a bare INTERNAL_SERVER_ERROR.
 */
export function maskError(formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError {
  const thrown = unwrapResolverError(error);
  if (thrown instanceof CodedError) return formatted;
  const code = requestErrorCode(formatted, thrown);
  if (code !== undefined) {
    const message = thrown instanceof GraphQLError ? withoutValues(thrown) : formatted.message;
    return { ...formatted, message, extensions: { code } };
  }
  return {
    ...formatted,
    message: errorMessages[INTERNAL_SERVER_ERROR],
    extensions: { code: INTERNAL_SERVER_ERROR },
  };
}

/** The code of an error that is the request's fault; undefined if it is ours. */
function requestErrorCode(formatted: GraphQLFormattedError, thrown: unknown): string | undefined {
  const code = formatted.extensions?.['code'];
  if (formatted.path === undefined && requestErrorCodes.has(code)) return code as string;
  if (!(thrown instanceof GraphQLError)) return undefined;
  // What graphql-js finds only while it executes, and gives no code: null in a variable where the default was meant, ...
  if (thrown.nodes?.[0]?.kind === Kind.VARIABLE) return BAD_USER_INPUT;
  // ... and a subscription, which there is none of.
  return thrown.nodes?.[0]?.kind === Kind.OPERATION_DEFINITION ? OPERATION_RESOLUTION_FAILURE : undefined;
}

/**
 * graphql-js quotes values in its messages, and a value may be a verification code or a phone number; and it suggests names of a schema
 * that may be nobody's business.
 */
function withoutValues({ message, nodes }: GraphQLError): string {
  const node = nodes?.[0];
  if (node?.kind === Kind.VARIABLE_DEFINITION && message.includes('got invalid value')) {
    return `Variable "$${node.variable.name.value}" got a value that is not a valid ${print(node.type)}.`;
  }
  if (node && isValueNode(node) && node.kind !== Kind.VARIABLE) {
    const named =
      /^Enum "(\w+)"|^Expected value of type "([\w![\]]+)"|^(\w+) cannot represent|^Value .* in "(\w+)" enum/.exec(
        message,
      );
    const type = named?.slice(1).find(Boolean);
    return type === undefined ? 'This value is not valid.' : `This value is not a valid ${type}.`;
  }
  return message
    .replace(/ ?Did you mean .*\?$/s, '')
    .replace(/^(Syntax Error.*?)(?:(?<=Name|Int|Float|String)|:) ".*"\.$/s, '$1.')
    .replace(/^(Unknown operation) named .*$/s, '$1.');
}
