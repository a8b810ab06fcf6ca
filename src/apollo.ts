import { ApolloServer } from '@apollo/server';
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
    csrfPrevention: true,
    formatError: maskError,
    // A cache that strangers fill, for no gain behind a router.
    persistedQueries: false,
    includeStacktraceInErrorResponses: false,
    hideSchemaDetailsFromClientErrors: true,
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
