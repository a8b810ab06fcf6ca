import { HeaderMap, type ApolloServer, type GraphQLRequest } from '@apollo/server';
import { ApolloServerErrorCode } from '@apollo/server/errors';
import type { RequestContext } from './context.js';
import type { GraphQLAnswer, GraphQLParameters } from './http/graphql.js';

const { PERSISTED_QUERY_NOT_SUPPORTED } = ApolloServerErrorCode;

/** What Apollo Server would else find out anew each time, by negotiation: nobody gets an answer in parts. */
const http = { method: 'POST', headers: new HeaderMap([['accept', '']]), search: '', body: undefined };

/** Executes one operation. What GraphQL calls an error is an answer; it throws for a fault of its own alone. */
export async function execute(
  apollo: ApolloServer<RequestContext>,
  { query, operationName, variables, extensions }: GraphQLParameters,
  contextValue: RequestContext,
): Promise<GraphQLAnswer> {
  // They would be a cache that strangers fill, for no gain behind a router.
  if (!query && extensions?.['persistedQuery']) return refuse(PERSISTED_QUERY_NOT_SUPPORTED, contextValue);
  // Apollo Server would hash each text, only to look for its document under the hash; but it believes whoever comes with a hash.
  const text = query ? { extensions: { persistedQuery: { version: 1, sha256Hash: query } } } : {};
  // It takes null for left out, which its types do not say.
  const request = { ...text, operationName, variables, http } as GraphQLRequest;
  const response = await apollo.executeOperation(request, { contextValue });
  const { body } = response;
  if (body.kind !== 'single') throw new Error('There is no answer in parts: graphql 16 knows no @defer.');
  const { errors, data } = body.singleResult;
  // Errors first: https://spec.graphql.org/October2021/#note-6f005
  return { httpStatus: response.http.status ?? 200, body: JSON.stringify({ errors, data }) };
}

/** As Apollo Server does where it is told to: its clients know that code. */
function refuse(code: string, { record }: RequestContext): GraphQLAnswer {
  record.errors = [{ code }];
  return {
    httpStatus: 200,
    body: JSON.stringify({ errors: [{ message: 'PersistedQueryNotSupported', extensions: { code } }] }),
  };
}
