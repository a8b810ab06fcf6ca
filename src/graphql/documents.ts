import { InMemoryLRUCache } from '@apollo/utils.keyvaluecache';
import { maxAliasesRule } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthRule } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesRule } from '@escape.tech/graphql-armor-max-directives';
import {
  BREAK,
  GraphQLError,
  Kind,
  visit,
  type ArgumentNode,
  type DocumentNode,
  type OperationDefinitionNode,
  type ParseOptions,
  type ValidationContext,
  type ValidationRule,
} from 'graphql';
import { Failure } from '../failure.js';

// What a document may contain, and the cache of parsed documents.

/** The schema has four levels, and each fragment counts as one more. */
export const maxDepth = 10;
export const maxDirectives = 50;
/** An alias is repeated for every item in a list and in the path of every error. */
export const maxNameLength = 100;
/** Generous for indented text with comments. For each error, graphql-js counts lines from the start of the document. */
const maxLengthOfToken = 50;

/** graphql-js looks up the line of each error, so many errors in a long document are slow. */
export const validationOptions = { maxErrors: 20, hideSuggestions: true };

/** Stops the parser early. The longest example operation has 77 tokens. */
export const parseLimits = (maxTokens: number): ParseOptions => ({
  maxLexicalTokens: maxTokens,
  maxSourceLength: maxTokens * maxLengthOfToken,
});

/** By default, Armor throws, and Apollo Server answers HTTP 500. A reported error is an ordinary validation error. */
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
 * Given a flat list for a type of nested lists, graphql-js wraps each item, perhaps hundreds of thousands, in that many lists. It does this
 * even for a variable in a literal of a custom scalar, which no other rule type-checks. No argument takes a list of lists.
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
 * The limits on every document.
 *
 * @param maxAliases each alias can be a call to ZITADEL, but gateways that merge queries need aliases too
 */
export const queryLimits = (maxAliases: number): ValidationRule[] => [
  maxDepthRule(limit(maxDepth)),
  // By default, aliases of `__typename` do not count.
  maxAliasesRule({ ...limit(maxAliases), allowList: [] }),
  maxDirectivesRule(limit(maxDirectives)),
  nameLengths,
  noListsOfLists,
];

/**
 * graphql-js finds a null in `@skip(if: $hidden)` below a mutation only after it has carried out the mutation, and would report the error at
 * the path of the mutation itself.
 *
 * @param operation a mutation
 * @throws {Failure} if a condition is null
 */
export function checkConditions(
  document: DocumentNode,
  operation: OperationDefinitionNode,
  variables: Record<string, unknown>,
): void {
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

/** For all documents together, in bytes. A hundred operations of a typical frontend take a few hundred kilobytes. */
const maxBytes = 16 * 1024 * 1024;

// Memory use of V8 on a 64-bit machine, measured on Node 20 and rounded up.
const bytesOfEntry = 1_000;
const bytesOfObject = 64;
const bytesOfList = 48;
const bytesOfProperty = 8;
const bytesOfString = 24;

/**
 * Caches valid documents. Apollo Server calls `set` right before it first executes a document, and then executes the same object. So every
 * execution uses a document that `set` has detached from its text.
 */
export class DocumentStore extends InMemoryLRUCache<DocumentNode> {
  constructor() {
    super({ maxSize: maxBytes });
  }

  override set(key: string, document: DocumentNode): Promise<void> {
    return super.set(key, document, { size: detach(document) });
  }
}

/**
 * Detaches a document from its text, which uses more memory than everything else. Removes the locations, which reference every token, and
 * copies the strings, which V8 keeps as slices of the text. Without locations, thousands of errors during execution also spend no time finding
 * their line in the text.
 *
 * @returns the remaining size in bytes
 */
function detach(document: DocumentNode): number {
  let bytes = bytesOfEntry;
  // No recursion: values can be nested as deeply as the token limit allows. Nodes and arrays are both walked as keys with values.
  const pending: Record<string, unknown>[] = [document as unknown as Record<string, unknown>];
  for (let node = pending.pop(); node; node = pending.pop()) {
    bytes += Array.isArray(node) ? bytesOfList : bytesOfObject;
    for (const [key, value] of Object.entries(node)) {
      bytes += bytesOfProperty;
      if (key === 'loc') {
        // `delete` would turn the compact object into a dictionary.
        node[key] = undefined;
      } else if (typeof value === 'string' && key !== 'kind') {
        bytes += bytesOfString + value.length;
        node[key] = copyOf(value);
      } else if (typeof value === 'object' && value !== null) {
        // The parser's arrays have spare capacity.
        const inner = Array.isArray(value) ? value.slice() : value;
        node[key] = inner;
        pending.push(inner as Record<string, unknown>);
      }
    }
  }
  return bytes;
}

/** The parser rejects lone surrogates, so every string survives a round trip through UTF-8. */
function copyOf(text: string): string {
  return Buffer.from(text).toString();
}
