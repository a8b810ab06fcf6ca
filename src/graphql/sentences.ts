import { maxNameLength } from './documents.js';

// The messages of graphql-js 16, Apollo Server and our own limits when they refuse a request. In a sentence, `…` stands for a name, `~`
// for a name to omit, `#` for a number, `<token>` for what the parser expected or found, and a final `*` for a value to omit
// with everything after it.

const syntaxErrors = [
  'Expected <token>, found <token>*.',
  'Unexpected <token>*.',
  'Unexpected character*.',
  'Invalid character*.',
  'Invalid number, unexpected digit after 0*.',
  'Invalid number, expected digit but got*.',
  'Invalid Unicode escape sequence*.',
  'Invalid character escape sequence*.',
  'Unterminated string.',
  'Unexpected single quote character (\'), did you mean to use a double quote (")?',
  'Unexpected variable "…" in constant value.',
  'Unexpected description, descriptions are not supported on shorthand queries.',
  'Unexpected description, only GraphQL definitions support descriptions.',
  'Document contains more that # tokens. Parsing aborted.',
  'Source contains more than # UTF-16 code units. Parsing aborted.',
].map((sentence) => `Syntax Error: ${sentence}`);

const others = [
  // Our own limits.
  'Aliases limit of # exceeded, found #.',
  'Directives limit of # exceeded, found #.',
  'Query depth limit of # exceeded, found #.',
  `A name must have at most ${maxNameLength} characters.`,
  'A variable must not be a list of lists.',
  // Operations and fragments.
  'Too many validation errors, error limit reached. Validation aborted.',
  'Validation aborted.',
  'Maximum introspection depth exceeded',
  'The … definition is not executable.',
  'The "…" definition is not executable.',
  'The schema definition is not executable.',
  'There can be only one operation named "…".',
  'There can be only one fragment named "…".',
  'There can be only one variable named "…".',
  'There can be only one argument named "…".',
  'There can be only one input field named "…".',
  'This anonymous operation must be the only defined operation.',
  'Unknown fragment "…".',
  'Fragment "…" is never used.',
  'Cannot spread fragment "…" within itself.',
  'Cannot spread fragment "…" within itself via "…".',
  'Cannot spread fragment "…" within itself via*.',
  'Fragment "…" cannot condition on non composite type "…".',
  'Fragment cannot condition on non composite type "…".',
  'Fragment "…" cannot be spread here as objects of type "…" can never be of type "…".',
  'Fragment cannot be spread here as objects of type "…" can never be of type "…".',
  // Fields, arguments and directives.
  'Unknown type "…".',
  'Cannot query field "…" on type "…".',
  'Field "…" must not have a selection since type "…" has no subfields.',
  'Field "…" of type "…" must have a selection of subfields.',
  'Field "…" of type "…" must have at least one field selected.',
  'Fields "…" conflict because "…" and "…" are different fields. Use different aliases on the fields to fetch both if this was intentional.',
  'Fields "…" conflict because they have differing arguments. Use different aliases on the fields to fetch both if this was intentional.',
  'Fields "…" conflict because they return conflicting types "…" and "…". Use different aliases on the fields to fetch both if this was intentional.',
  'Unknown argument "…" on field "…".',
  'Unknown argument "…" on directive "…".',
  'Field "…" argument "…" of type "…" is required, but it was not provided.',
  'Directive "…" argument "…" of type "…" is required, but it was not provided.',
  'Unknown directive "…".',
  'Directive "…" may not be used on ….',
  'The directive "…" can only be used once at this location.',
  // Variables and values.
  'Variable "…" is not defined.',
  'Variable "…" is not defined by operation "…".',
  'Variable "…" is never used.',
  'Variable "…" is never used in operation "…".',
  'Variable "…" cannot be non-input type "…".',
  'Variable "…" of type "…" used in position expecting type "…".',
  'Variable "…" of required type "…" was not provided.',
  'Variable "…" of non-null type "…" must not be null.',
  'Argument "…" of required type "…" was not provided.',
  'Argument "…" of required type "…" was provided the variable "…" which was not provided a runtime value.',
  'Argument "…" of non-null type "…" must not be null.',
  // Which operation to run.
  'Must provide operation name if query contains multiple operations.',
  'Must provide an operation.',
  'Schema is not configured to execute … operation.',
  // Apollo Server.
  'GraphQL operations must contain a non-empty `query` or a `persistedQuery` extension.',
  'PersistedQueryNotSupported',
];

/** Sentences that say little without their value, and their replacements. */
const reworded = [
  ['Enum "…" cannot represent*.', 'This value is not a valid ….'],
  ['… cannot represent*.', 'This value is not a valid ….'],
  ['Expected value of type "…", found*.', 'This value is not a valid ….'],
  ['Value "~" does not exist in "…" enum.', 'This value is not a valid ….'],
  ['Unknown operation named*.', 'Unknown operation.'],
  [
    'GraphQL introspection is not allowed by Apollo Server, but the query contained __schema or __type. To enable introspection, pass introspection: true to ApolloServer in production',
    'Introspection is off. To turn it on, start this server with INTROSPECTION=true.',
  ],
] as const;

/** Longer messages are cut before matching: only a value or a suggestion can make them that long. */
const maxLength = 1_000;

/** A name may come with its type, and a type may be a list. The names in the schema are short. */
const name = String.raw`[\w$@!.[\]]{1,${maxNameLength}}`;
const patterns: Record<string, string> = {
  '…': `(${name})`,
  '~': name,
  '#': String.raw`(\d{1,10})`,
  '<token>': String.raw`(Name|Int|Float|String|BlockString|<EOF>|"[!$&()[\]{}:=@|.]{1,3}"|"[a-z]{1,12}")`,
  '*.': '.*',
};

interface Sentence {
  /** Anchored, and no placeholder matches the text that follows it, so matching takes one pass, whatever the message. */
  pattern: RegExp;
  answer: string;
}

const sentences: Sentence[] = [
  ...syntaxErrors.map((sentence) => [sentence, sentence] as const),
  ...others.map((sentence) => [sentence, sentence] as const),
  ...reworded,
].map(([sentence, answer]) => {
  const parts = sentence.split(/(…|~|#|<token>|\*\.$)/);
  const source = parts.map((part) => patterns[part] ?? part.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)).join('');
  return { pattern: new RegExp(`^${source}(?: Did you mean .*)?$`, 's'), answer };
});

/**
 * Rebuilds a message from the sentence that it matches, without its values and suggestions.
 *
 * @returns undefined if it matches none of these sentences: it may contain anything
 */
export function rebuildSentence(message: string): string | undefined {
  const beginning = message.slice(0, maxLength);
  for (const { pattern, answer } of sentences) {
    const names = pattern.exec(beginning)?.slice(1);
    if (names) return answer.replace(/…|#|<token>|\*/g, (kind) => (kind === '*' ? '' : (names.shift() ?? '')));
  }
  return undefined;
}
