import { ApolloServer } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import type { GraphQLSchema } from 'graphql';
import type { Config } from '../config.js';
import type { ContactPhoneContext } from '../contact-phone/contact-phone.resolver.js';
import { DocumentStore } from './document-store.js';
import type { Logger } from '../logger.js';
import { maskError } from './mask-error.js';
import { limitQueries } from './limit-queries.js';
import { parseLimits, queryLimits, validationOptions } from './query-limits.js';
import { recordOperations } from '../telemetry/record-operations.js';
import type { RequestRecord } from '../telemetry/request-record.js';

/** The context of one GraphQL request: for the resolvers, and for the plugin that records it. */
export interface RequestContext extends ContactPhoneContext {
  record: RequestRecord;
}

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
    documentStore: new DocumentStore(),
    formatError: maskError,
    // A cache that strangers fill, for no gain behind a router.
    persistedQueries: false,
    includeStacktraceInErrorResponses: false,
    // The process decides when it ends.
    stopOnTerminationSignals: false,
    plugins: [
      // First, so that the record of a refused query names it.
      recordOperations,
      limitQueries(schema),
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
    ],
  });
}
