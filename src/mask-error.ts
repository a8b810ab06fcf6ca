import { ApolloServerErrorCode, unwrapResolverError } from '@apollo/server/errors';
import { GraphQLError, Kind, isValueNode, print, type GraphQLFormattedError } from 'graphql';
import { CodedError, errorMessages } from './errors.js';
import type { Logger } from './logger.js';

/** Apollo's own refusals of a request, which happen before a resolver runs. */
const requestErrorCodes: ReadonlySet<unknown> = new Set(
  Object.values(ApolloServerErrorCode).filter((code) => code !== ApolloServerErrorCode.INTERNAL_SERVER_ERROR),
);

/**
 * The edge that every GraphQL error passes: a coded error as it is, a refusal of the request without the values it quotes, and
 * anything else as a bare INTERNAL_SERVER_ERROR, whose cause is logged.
 */
export function maskError(logger: Logger) {
  return (formatted: GraphQLFormattedError, error: unknown): GraphQLFormattedError => {
    const thrown = unwrapResolverError(error);
    if (thrown instanceof CodedError) {
      const { code } = thrown.extensions;
      if (code.startsWith('UPSTREAM_')) logger.warn({ code, err: thrown.cause }, 'ZITADEL did not do its part');
      return formatted;
    }
    if (formatted.path === undefined && requestErrorCodes.has(formatted.extensions?.['code'])) {
      return error instanceof GraphQLError ? { ...formatted, message: withoutValues(error) } : formatted;
    }
    logger.error({ err: thrown }, 'Unexpected error');
    const code = ApolloServerErrorCode.INTERNAL_SERVER_ERROR;
    return { ...formatted, message: errorMessages[code], extensions: { code } };
  };
}

/** graphql-js quotes values in its messages, and a value may be a verification code or a phone number. */
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
  if (message.startsWith('Syntax Error')) return message.replace(/(?:(?<=Name|Int|Float|String)|:) ".*"\.$/s, '.');
  return message;
}
