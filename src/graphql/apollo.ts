import { ApolloServer, type ApolloServerPlugin, type GraphQLRequestContext } from '@apollo/server';
import {
  ApolloServerPluginCacheControlDisabled,
  ApolloServerPluginInlineTraceDisabled,
  ApolloServerPluginLandingPageDisabled,
  ApolloServerPluginSchemaReportingDisabled,
  ApolloServerPluginUsageReportingDisabled,
} from '@apollo/server/plugin/disabled';
import {
  GraphQLError,
  Kind,
  OperationTypeNode,
  visit,
  type ArgumentNode,
  type DocumentNode,
  type GraphQLSchema,
  type OperationDefinitionNode,
} from 'graphql';
import type { Config } from '../config.js';
import type { ContactPhoneContext } from '../contact-phone/contact-phone.resolver.js';
import { Failure } from '../failure.js';
import { refusedRequest } from '../failures.js';
import type { Logger } from '../logger.js';
import type { RequestRecord } from '../telemetry/request-record.js';
import { DocumentStore, parseLimits, queryLimits, validationOptions } from './documents.js';
import { formatError, maskError } from './mask-error.js';
import { QueryCost } from './query-cost.js';

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
  // Its messages quote errors. Only the message of an error is logged without what could be a secret.
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
    formatError: () => formatError(new GraphQLError(''), refusedRequest(500)),
    // A cache that strangers fill, for no gain behind a router.
    persistedQueries: false,
    includeStacktraceInErrorResponses: false,
    // The process decides when it ends.
    stopOnTerminationSignals: false,
    plugins: [
      // First, so that the record of a refused query names it.
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

/**
 * Records the operation, and makes failures of its errors: for the client, and for the record. Names are taken from the valid document,
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
          record.beginOperation({ kind: operation.operation, name: operation.name?.value, field });
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
 * Refuses a whole operation before any of it runs: a query that asks for too much, and a mutation with a condition that is null. Mutations
 * are bounded by the alias limit.
 */
function refuseOperations(schema: GraphQLSchema): ApolloServerPlugin {
  const cost = new QueryCost(schema);
  return {
    requestDidStart: () =>
      Promise.resolve({
        didResolveOperation({ document, operation, request: { variables } }) {
          try {
            if (operation?.operation === OperationTypeNode.QUERY) cost.check(document, operation, variables);
            if (operation?.operation === OperationTypeNode.MUTATION) checkConditions(document, operation, variables);
            return Promise.resolve();
          } catch (error) {
            const isRefusal = error instanceof Failure || error instanceof GraphQLError;
            return Promise.reject(isRefusal ? withHttpStatus(error) : (error as Error));
          }
        },
      }),
  };
}

/**
 * graphql-js finds a null in `@skip(if: $hidden)` only when it selects the fields below a mutation that was already carried out, and the
 * error would be at the path of the mutation itself.
 *
 * @throws {Failure}
 */
function checkConditions(
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Record<string, unknown> = {},
): void {
  if (!Object.values(variables).includes(null)) return;
  const isNull = ({ value }: ArgumentNode) => value.kind === Kind.VARIABLE && variables[value.name.value] === null;
  const isRun = (node: DocumentNode['definitions'][number]) =>
    node === operation || node.kind === Kind.FRAGMENT_DEFINITION;
  for (const definition of document.definitions.filter(isRun)) {
    visit(definition, {
      [Kind.DIRECTIVE]: (directive) => {
        if (!directive.arguments?.some(isNull)) return;
        const text = 'Argument "if" of non-null type "Boolean!" must not be null.';
        throw new Failure({ code: 'BAD_USER_INPUT', reason: 'VARIABLES_INVALID' }, { text });
      },
    });
  }
}

/** Without a status, Apollo Server would answer 500 to an error of a plugin. */
function withHttpStatus(originalError: Failure | GraphQLError): GraphQLError {
  const extensions = { code: 'BAD_USER_INPUT', http: { status: 200 } };
  return new GraphQLError(originalError.message, { originalError, extensions });
}
