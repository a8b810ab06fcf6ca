import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesRule } from '@escape.tech/graphql-armor-max-directives';
import { GraphQLError, type ValidationContext, type ValidationRule } from 'graphql';

/** Stops the parser, before it has spent time on the rest. The longest of the example operations has 77. */
export const maxTokens = 2_000;

/** The schema is four deep, and each fragment counts as one more. */
export const maxDepth = 10;
/** Each can be a call to ZITADEL; gateways that merge queries tell them apart by aliases. */
export const maxAliases = 50;
export const maxDirectives = 50;

/** Armor would throw, which Apollo Server answers with HTTP 500; reported, it is a validation error like any other. */
const limit = (n: number) => ({
  n,
  propagateOnRejection: false,
  onReject: [
    (context: ValidationContext | null, { message }: GraphQLError) =>
      context?.reportError(new GraphQLError(message.replace('Syntax Error: ', ''))),
  ],
});

/** What a document may not exceed, whoever sends it. */
export const queryLimits: ValidationRule[] = [
  maxDepthRule(limit(maxDepth)),
  maxAliasesRule(limit(maxAliases)),
  maxDirectivesRule(limit(maxDirectives)),
] as ValidationRule[];
