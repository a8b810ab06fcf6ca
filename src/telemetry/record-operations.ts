import type { ApolloServerPlugin, GraphQLRequestContext } from '@apollo/server';
import { ApolloServerErrorCode, unwrapResolverError } from '@apollo/server/errors';
import { Kind, type GraphQLError, type GraphQLFormattedError, type OperationDefinitionNode } from 'graphql';
import { CodedError } from '../errors.js';
import type { RequestRecord } from './request-record.js';

/** The part of the context that is needed here. */
interface Recorded {
  record: RequestRecord;
}

/**
 * Records the operation of a request and its errors. Names are taken from the valid document, where they are short and do not keep its
 * text in memory. Names in the request itself can be as long as its body.
 */
export const recordOperations: ApolloServerPlugin<Recorded> = {
  requestDidStart({ contextValue: { record } }) {
    return Promise.resolve({
      didResolveOperation({ schema, operation }: GraphQLRequestContext<Recorded>) {
        // undefined if the document has no operation with the requested name.
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

/** The root field if there is exactly one; `several` if there are more, or if they are in fragments. */
function rootFieldOf({ selectionSet: { selections } }: OperationDefinitionNode): string {
  const names = new Set(selections.map((node) => (node.kind === Kind.FIELD ? node.name.value : 'several')));
  const [only] = names;
  return names.size === 1 && only !== undefined ? only : 'several';
}

/** @param thrown the errors before masking, in the same order */
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
