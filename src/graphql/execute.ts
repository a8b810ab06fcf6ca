import { HeaderMap, type ApolloServer, type GraphQLRequest } from '@apollo/server';
import { writeAnswer } from './write-answer.js';
import type { RequestContext } from '../context.js';
import type { GraphQLAnswer, GraphQLParameters } from '../http/graphql.js';
import { replaceUnsafeIntegers } from '../unsafe-integers.js';

/** Spares Apollo Server negotiating for each request: no answer is incremental. */
const http = { method: 'POST', headers: new HeaderMap([['accept', '']]), search: '', body: undefined };

/** Executes one operation. GraphQL errors are part of the answer; it throws only for a fault of this server. */
export async function execute(
  apollo: ApolloServer<RequestContext>,
  { query, operationName, variables, extensions }: GraphQLParameters,
  contextValue: RequestContext,
): Promise<GraphQLAnswer> {
  if (variables) replaceUnsafeIntegers(variables);
  // It treats null as omitted, which its types do not say.
  const request = { query, operationName, variables, extensions, http } as GraphQLRequest;
  const response = await apollo.executeOperation(request, { contextValue });
  const { body } = response;
  if (body.kind !== 'single') throw new Error('Unexpected incremental answer: graphql 16 does not support @defer.');
  const { errors, data } = body.singleResult;
  return { httpStatus: response.http.status ?? 200, body: writeAnswer(errors, data) };
}
