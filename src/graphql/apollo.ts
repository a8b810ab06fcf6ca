import { ApolloServer, type ApolloServerPlugin, type GraphQLRequestContext } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import { GraphQLError, Kind, OperationTypeNode, type GraphQLSchema, type OperationDefinitionNode } from 'graphql';
import type { Config } from '../config/config.js';
import type { ContactPhoneContext } from '../contact-phone/contact-phone.resolver.js';
import { Failure } from '../failure.js';
import { refusedRequest } from '../failures.js';
import type { Logger } from '../logger.js';
import type { RequestRecord } from '../telemetry/request-record.js';
import { checkConditions, DocumentStore, parseLimits, queryLimits, validationOptions } from './documents.js';
import { formatError, maskError } from './mask-error.js';
import { QueryCost } from './query-cost.js';

/** The context of one GraphQL request, for the resolvers and for the plugin that records it. */
export interface RequestContext extends ContactPhoneContext {
  record: RequestRecord;
}

const genericError = formatError(new GraphQLError(''), refusedRequest(500));

/** Apollo Server, with every option set that would otherwise depend on NODE_ENV or on APOLLO_… variables. */
export function createApollo(
  schema: GraphQLSchema,
  config: Config['graphql'],
  logger: Logger,
): ApolloServer<RequestContext> {
  // Its messages quote errors. The logger removes anything that could be a secret, but only from the message of an error.
  const log = (level: 'warn' | 'error') => (message: unknown) =>
    logger[level]({ err: new Error(String(message)) }, 'Apollo Server');
  const ignore = () => {};
  return new ApolloServer<RequestContext>({
    schema,
    logger: { debug: ignore, info: ignore, warn: log('warn'), error: log('error') },
    introspection: config.introspection,
    parseOptions: parseLimits(config.maxTokens),
    validationRules: queryLimits(config.maxAliases),
    validationOptions,
    documentStore: new DocumentStore(),
    // Errors are masked below, where the operation is known. This is what a client sees if Apollo Server fails before that.
    formatError: () => genericError,
    // Anyone could fill this cache, and behind a router it gains nothing.
    persistedQueries: false,
    includeStacktraceInErrorResponses: false,
    // process.ts handles signals.
    stopOnTerminationSignals: false,
    plugins: [
      // First, so that the record of a refused query has its operation.
      recordAndMask,
      refuseOperations(schema),
      ApolloServerPluginCacheControlDisabled(),
      ApolloServerPluginInlineTraceDisabled(),
      ApolloServerPluginLandingPageDisabled(),
      ApolloServerPluginSchemaReportingDisabled(),
      ApolloServerPluginUsageReportingDisabled(),
    ],
  });
}

/** Clients choose the name of an operation, so it could contain a phone number. */
const mayShow = /^(?!.*\d{7})./;

/**
 * Records the operation, and turns its errors into failures, for the client and for the record. Names are taken from the valid document,
 * where they are short and do not keep its text in memory. Names in the request itself can be as long as its body.
 */
const recordAndMask: ApolloServerPlugin<RequestContext> = {
  requestDidStart({ contextValue: { record } }) {
    return Promise.resolve({
      didResolveOperation({ schema, operation }: GraphQLRequestContext<RequestContext>) {
        // undefined if the document has no operation with the requested name.
        if (operation) {
          const isServed = schema.getRootType(operation.operation) !== undefined;
          const field = isServed ? rootFieldOf(operation) : 'none';
          const name = operation.name?.value ?? '';
          record.beginOperation({ kind: operation.operation, name: mayShow.test(name) ? name : undefined, field });
        }
        return Promise.resolve();
      },
      willSendResponse({ response: { body }, operation, errors }) {
        if (body.kind === 'single' && errors) {
          const masked = errors.map((error) => ({ error, failure: maskError(error, operation?.operation) }));
          body.singleResult.errors = masked.map(({ error, failure }) => formatError(error, failure));
          record.failures = masked.map(({ failure }) => failure);
        }
        return Promise.resolve();
      },
    });
  },
  unexpectedErrorProcessingRequest({ requestContext: { contextValue }, error }) {
    contextValue.record.failures = [refusedRequest(500, undefined, error)];
    return Promise.resolve();
  },
};

/** The root field if there is exactly one; `several` if there are more, or if they are in fragments. */
function rootFieldOf({ selectionSet: { selections } }: OperationDefinitionNode): string {
  const names = new Set(selections.map((node) => (node.kind === Kind.FIELD ? node.name.value : 'several')));
  const [only] = names;
  return names.size === 1 && only !== undefined ? only : 'several';
}

/**
 * Refuses a whole operation before any of it runs: a query that asks for too much, or a mutation with a condition that is null. The alias
 * limit bounds mutations.
 */
function refuseOperations(schema: GraphQLSchema): ApolloServerPlugin {
  const cost = new QueryCost(schema);
  return {
    requestDidStart: () =>
      Promise.resolve({
        didResolveOperation({ document, operation, request: { variables = {} } }) {
          try {
            if (operation?.operation === OperationTypeNode.QUERY) cost.check(document, operation, variables);
            if (operation?.operation === OperationTypeNode.MUTATION && Object.values(variables).includes(null))
              checkConditions(document, operation, variables);
          } catch (error) {
            if (error instanceof Failure || error instanceof GraphQLError) throw withHttpStatus(error);
            throw error;
          }
          return Promise.resolve();
        },
      }),
  };
}

/** Without a status, Apollo Server would answer 500 to an error that a plugin throws. */
function withHttpStatus(originalError: Failure | GraphQLError): GraphQLError {
  const extensions = { code: 'BAD_USER_INPUT', http: { status: 200 } };
  return new GraphQLError(originalError.message, { originalError, extensions });
}
