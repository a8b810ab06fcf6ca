import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesRule } from '@escape.tech/graphql-armor-max-directives';
import { BREAK, GraphQLError, Kind, type ParseOptions, type ValidationContext, type ValidationRule } from 'graphql';

/** The schema is four deep, and each fragment counts as one more. */
export const maxDepth = 10;
export const maxDirectives = 50;
/** An alias is repeated for every item of a list and in the path of every error. */
export const maxNameLength = 100;
/** Generous for indented text with comments. graphql-js counts the lines from the start of the document for each error that it reports. */
const maxLengthOfToken = 50;

/** Each error names its line, so many errors in a long document take long. */
export const validationOptions = { maxErrors: 20, hideSuggestions: true };

/** Stops the parser before it has spent time on the rest. The longest of the example operations has 77 tokens. */
export const parseLimits = (maxTokens: number): ParseOptions => ({
  maxLexicalTokens: maxTokens,
  maxSourceLength: maxTokens * maxLengthOfToken,
});

/** Armor would throw, which Apollo Server answers with HTTP 500; a reported error is a validation error like any other. */
const limit = (n: number) => ({
  n,
  propagateOnRejection: false,
  onReject: [
    (context: ValidationContext | null, { message }: GraphQLError) =>
      context?.reportError(new GraphQLError(message.replace('Syntax Error: ', ''))),
  ],
});

const nameLengths: ValidationRule = (context) => ({
  Name(node) {
    if (node.value.length <= maxNameLength) return;
    context.reportError(new GraphQLError(`A name must have at most ${maxNameLength} characters.`, { nodes: node }));
  },
});

/**
 * graphql-js wraps an item in as many lists as its type has, for each of hundreds of thousands of items. It does so for any variable in a
 * literal of a custom scalar, whose type no other rule knows. No argument takes a list of lists.
 */
const noListsOfLists: ValidationRule = (context) => ({
  ListType(node) {
    const inner = node.type.kind === Kind.NON_NULL_TYPE ? node.type.type : node.type;
    if (inner.kind !== Kind.LIST_TYPE) return;
    context.reportError(new GraphQLError('A variable must not be a list of lists.', { nodes: node }));
    return BREAK;
  },
});

/**
 * What no document may exceed.
 *
 * @param maxAliases each can be a call to ZITADEL; gateways that merge queries keep them apart by aliases
 */
export const queryLimits = (maxAliases: number): ValidationRule[] =>
  [
    maxDepthRule(limit(maxDepth)),
    // By default, aliases of `__typename` do not count.
    maxAliasesRule({ ...limit(maxAliases), allowList: [] }),
    maxDirectivesRule(limit(maxDirectives)),
    nameLengths,
    noListsOfLists,
  ] as ValidationRule[];
