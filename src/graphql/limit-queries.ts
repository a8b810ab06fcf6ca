import { HeaderMap, type ApolloServerPlugin } from '@apollo/server';
import { ApolloServerErrorCode } from '@apollo/server/errors';
import { GraphQLError, OperationTypeNode, type GraphQLSchema } from 'graphql';
import { CodedError } from '../errors.js';
import { QueryCost } from './query-cost.js';

/** Refuses a whole query that asks for too much, before any of it runs. Mutations are bounded by the alias limit. */
export function limitQueries(schema: GraphQLSchema): ApolloServerPlugin {
  const cost = new QueryCost(schema);
  return {
    requestDidStart: () =>
      Promise.resolve({
        didResolveOperation({ document, operation, request: { variables } }) {
          if (operation?.operation !== OperationTypeNode.QUERY) return Promise.resolve();
          try {
            cost.check(document, operation, variables);
            return Promise.resolve();
          } catch (error) {
            const isRefusal = error instanceof CodedError || error instanceof GraphQLError;
            return Promise.reject(isRefusal ? refusal(error) : (error as Error));
          }
        },
      }),
  };
}

function refusal(error: CodedError | GraphQLError): GraphQLError {
  const extensions = { code: ApolloServerErrorCode.BAD_USER_INPUT };
  const answer = new GraphQLError(error.message, { originalError: error, extensions });
  // Without a status, Apollo Server would answer 500.
  Object.assign(answer.extensions, { http: { status: 200, headers: new HeaderMap() } });
  return answer;
}
