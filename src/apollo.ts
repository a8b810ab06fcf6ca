import { ApolloServer, type GraphQLRequest } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import type { GraphQLSchema } from 'graphql';
import type { Config } from './config.js';
import type { RequestContext } from './context.js';
import type { GraphQLAnswer, GraphQLParameters } from './http/graphql.js';
import type { Logger } from './logger.js';
import { maskError } from './mask-error.js';
import { maxTokens, queryLimits } from './query-limits.js';
import { recordOperations } from './telemetry/record-operations.js';

/** Apollo Server, told everything that it would else take from NODE_ENV and from APOLLO_… variables. */
export function createApollo(
  schema: GraphQLSchema,
  config: Config['graphql'],
  logger: Logger,
): ApolloServer<RequestContext> {
  return new ApolloServer<RequestContext>({
    schema,
    logger,
    introspection: config.introspection,
    parseOptions: { maxLexicalTokens: maxTokens },
    validationRules: queryLimits,
    formatError: maskError,
    // A cache that strangers fill, for no gain behind a router.
    persistedQueries: false,
    includeStacktraceInErrorResponses: false,
    // The process decides when it ends.
    stopOnTerminationSignals: false,
    plugins: [
      recordOperations,
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
    ],
  });
}

/** Executes one operation. What GraphQL calls an error is an answer; it throws for a fault of its own alone. */
export async function execute(
  apollo: ApolloServer<RequestContext>,
  parameters: GraphQLParameters,
  contextValue: RequestContext,
): Promise<GraphQLAnswer> {
  // It takes null for left out, which its types do not say.
  const { http, body } = await apollo.executeOperation(parameters as GraphQLRequest, { contextValue });
  if (body.kind !== 'single') throw new Error('There is no answer in parts: graphql 16 knows no @defer.');
  const { errors, ...others } = body.singleResult;
  // Errors first: https://spec.graphql.org/October2021/#note-6f005
  return { httpStatus: http.status ?? 200, body: JSON.stringify({ errors, ...others }) };
}
