import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesRule } from '@escape.tech/graphql-armor-max-directives';
import { BREAK, GraphQLError, Kind, type ParseOptions, type ValidationContext, type ValidationRule } from 'graphql';

/** The schema has four levels, and each fragment counts as one more. */
export const maxDepth = 10;
export const maxDirectives = 50;
/** An alias is repeated for every item in a list and in the path of every error. */
export const maxNameLength = 100;
/** Generous for indented text with comments. For each error, graphql-js counts lines from the start of the document. */
const maxLengthOfToken = 50;

/** Finding the line of each error makes many errors in a long document slow. */
export const validationOptions = { maxErrors: 20, hideSuggestions: true };

/** Stops the parser early. The longest example operation has 77 tokens. */
export const parseLimits = (maxTokens: number): ParseOptions => ({
  maxLexicalTokens: maxTokens,
  maxSourceLength: maxTokens * maxLengthOfToken,
});

/** Armor would throw, which Apollo Server answers with HTTP 500. A reported error is an ordinary validation error. */
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
 * graphql-js wraps each of possibly hundreds of thousands of items in as many lists as its type has. It even does so for a variable in a
 * literal of a custom scalar, which no other rule type-checks. No argument takes a list of lists.
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
 * The limits of every document.
 *
 * @param maxAliases each alias can be a call to ZITADEL, but gateways that merge queries need aliases too
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
