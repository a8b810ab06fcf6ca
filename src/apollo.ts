import { ApolloServer } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { InMemoryLRUCache } from '@apollo/utils.keyvaluecache';
import type { DocumentNode, GraphQLSchema } from 'graphql';
import type { Config } from './config.js';
import type { RequestContext } from './context.js';
import type { Logger } from './logger.js';
import { maskError } from './mask-error.js';
import { parseLimits, queryLimits, validationOptions } from './query-limits.js';
import { recordOperations } from './telemetry/record-operations.js';

/** Of all documents that are kept, in characters. */
const maxKeptDocuments = 500_000;

/** Apollo Server, with every option set that would otherwise depend on NODE_ENV or on APOLLO_… variables. */
export function createApollo(
  schema: GraphQLSchema,
  config: Config['graphql'],
  logger: Logger,
): ApolloServer<RequestContext> {
  return new ApolloServer<RequestContext>({
    schema,
    logger,
    introspection: config.introspection,
    parseOptions: parseLimits(config.maxTokens),
    validationRules: queryLimits(config.maxAliases),
    validationOptions,
    documentStore: new InMemoryLRUCache<DocumentNode>({
      maxSize: maxKeptDocuments,
      sizeCalculation: ({ loc }) => loc?.source.body.length ?? maxKeptDocuments,
    }),
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
