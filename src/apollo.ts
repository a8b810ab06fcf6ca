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
import { maxTokens, queryLimits } from './query-limits.js';
import { recordOperations } from './telemetry/record-operations.js';

/** Of all documents that are kept, in characters; once it is parsed, each takes about a hundred bytes. */
const maxKeptDocuments = 500_000;

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
    // Its own store takes no account of the text that a document holds on to: long comments would fill the memory.
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
