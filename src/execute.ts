import { HeaderMap, type ApolloServer, type GraphQLRequest } from '@apollo/server';
import { writeAnswer } from './answer.js';
import type { RequestContext } from './context.js';
import type { GraphQLAnswer, GraphQLParameters } from './http/graphql.js';
import { replaceUnsafeIntegers } from './unsafe-integers.js';

/** What Apollo Server would otherwise negotiate for each request: no answer comes in parts. */
const http = { method: 'POST', headers: new HeaderMap([['accept', '']]), search: '', body: undefined };

/** Executes one operation. What GraphQL calls an error is an answer; it throws for a fault of its own alone. */
export async function execute(
  apollo: ApolloServer<RequestContext>,
  { query, operationName, variables, extensions }: GraphQLParameters,
  contextValue: RequestContext,
): Promise<GraphQLAnswer> {
  if (variables) replaceUnsafeIntegers(variables);
  // It takes null for left out, which its types do not say.
  const request = { query, operationName, variables, extensions, http } as GraphQLRequest;
  const response = await apollo.executeOperation(request, { contextValue });
  const { body } = response;
  if (body.kind !== 'single') throw new Error('There is no answer in parts: graphql 16 knows no @defer.');
  const { errors, data } = body.singleResult;
  return { httpStatus: response.http.status ?? 200, body: writeAnswer(errors, data) };
}
