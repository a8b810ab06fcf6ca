import type { ApolloServerPlugin, GraphQLRequestContext } from '@apollo/server';
import { ApolloServerErrorCode, unwrapResolverError } from '@apollo/server/errors';
import { Kind, type GraphQLError, type GraphQLFormattedError, type OperationDefinitionNode } from 'graphql';
import type { RequestContext } from '../context.js';
import { CodedError } from '../errors.js';
import type { RequestRecord } from './request-record.js';

/**
 * Writes into a request's record which operation it was, and what went wrong with it. Names are those of the valid document, which
 * bounds them and does not hold on to the text: those in the request can be as long as its body.
 */
export const recordOperations: ApolloServerPlugin<RequestContext> = {
  requestDidStart({ contextValue: { record } }) {
    return Promise.resolve({
      didResolveOperation({ schema, operation }: GraphQLRequestContext<RequestContext>) {
        // There is none if the document has none of the name that was asked for.
        if (operation) {
          const isServed = schema.getRootType(operation.operation) !== undefined;
          const field = isServed ? rootFieldOf(operation) : 'none';
          record.operation = { kind: operation.operation, name: operation.name?.value, field };
          record.trace?.beginOperation(record.operation);
        }
        return Promise.resolve();
      },
      willSendResponse({ response: { body }, errors }) {
        if (body.kind === 'single') recordErrors(record, body.singleResult.errors ?? [], errors ?? []);
        return Promise.resolve();
      },
    });
  },
  unexpectedErrorProcessingRequest({ requestContext: { contextValue }, error }) {
    contextValue.record.fail(ApolloServerErrorCode.INTERNAL_SERVER_ERROR, error);
    return Promise.resolve();
  },
};

/** The field of an operation with one; `several` of one with more, and of one that hides them in fragments. */
function rootFieldOf({ selectionSet: { selections } }: OperationDefinitionNode): string {
  const names = new Set(selections.map((node) => (node.kind === Kind.FIELD ? node.name.value : 'several')));
  const [only] = names;
  return names.size === 1 && only !== undefined ? only : 'several';
}

/** @param thrown the errors as they were before they were masked, in the same order */
function recordErrors(
  record: RequestRecord,
  errors: readonly GraphQLFormattedError[],
  thrown: readonly GraphQLError[],
): void {
  record.errors = errors.map(({ extensions }, index) => {
    const code = String(extensions?.['code']);
    const zitadel = extensions?.['zitadel'] as { id?: string } | undefined;
    const isOurs = code.startsWith('UPSTREAM_') || code === 'INTERNAL_SERVER_ERROR';
    return { code, zitadelErrorId: zitadel?.id, cause: isOurs ? causeOf(thrown[index]) : undefined };
  });
}

function causeOf(error: unknown): unknown {
  const thrown = unwrapResolverError(error);
  return thrown instanceof CodedError ? thrown.cause : thrown;
}
