import { printSubgraphSchema } from '@apollo/subgraph';
import { collectFields, collectSubFields } from '@graphql-tools/utils';
import {
  assertObjectType,
  getArgumentValues,
  getVariableValues,
  Kind,
  type DocumentNode,
  type FieldNode,
  type GraphQLObjectType,
  type GraphQLSchema,
  type OperationDefinitionNode,
  type SelectionSetNode,
} from 'graphql';
import { errors } from '../errors.js';
import { Failure } from '../failure.js';
import { codesWithRetryAfter } from '../failures.js';
import { maxErrorIdLength } from '../zitadel/answer.js';

/** Larger answers could fill the memory of this server, and of the routers and clients that read them. */
export const maxAnswerBytes = 2 * 1024 * 1024;

/** Each representation blocks the event loop for a fraction of a millisecond. */
export const maxRepresentations = 5_000;
/** Each alias of a phone counts, and again for each further alias of its `resendAvailableAt`: graphql-js awaits each. */
export const maxPhones = 5_000;

/** Valid ids have up to 200 Unicode characters: 400 UTF-16 units, or 800 bytes and two quotes in JSON. */
const maxUserIdLength = 400;
const maxUserIdBytes = 802;

/** The maximum size of a read error, without its path, its user id, and the parts that are omitted from answers that are too large. */
const maxErrorBytes = Math.max(
  ...Object.entries(errors).flatMap(([code, { text, reasons }]) =>
    Object.entries({ none: text, ...reasons }).map(([reason, message]) => bytesOfError(code, reason, message)),
  ),
);

function bytesOfError(code: string, reason: string, message: string): number {
  const zitadel = { code: 16, httpStatus: 500, id: 'x'.repeat(maxErrorIdLength) };
  const retryAfter = codesWithRetryAfter.some((one) => one === code) ? 999_999_999_999 : undefined;
  return JSON.stringify({ message, path: [], extensions: { code, reason, retryAfter, userId: '', zitadel } }).length;
}

/** The fields selected on a type, by response key. */
type Fields = ReadonlyMap<string, readonly FieldNode[]>;

/** `_entities` under one response key. */
interface Entities {
  key: string;
  representations: readonly unknown[];
  userFields: Fields;
}

/**
 * Counts what a query asks for before any of it runs, including aliases, fragments and variables. Assumes the largest possible answer, in
 * which every user fails.
 */
export class QueryCost {
  private readonly types;
  private readonly bytesOfSdl;

  constructor(private readonly schema: GraphQLSchema) {
    const type = (name: string) => assertObjectType(schema.getType(name));
    this.types = { query: type('Query'), user: type('User'), phone: type('ContactPhone'), service: type('_Service') };
    this.bytesOfSdl = JSON.stringify(printSubgraphSchema(schema)).length;
  }

  /**
   * @throws {Failure} if the query asks for too much
   * @throws {GraphQLError} if a variable is null but an argument or condition must not be; otherwise it would fail for each user
   */
  check(
    document: DocumentNode,
    { variableDefinitions = [], selectionSet }: OperationDefinitionNode,
    variables: Record<string, unknown> = {},
  ): void {
    const { coerced } = getVariableValues(this.schema, variableDefinitions, variables, { maxErrors: 0 });
    // graphql-js will reject the variables.
    if (!coerced) return;
    const select = this.selector(document, coerced);
    const root = select.root(selectionSet);
    const entities = this.entitiesOf(root, coerced, select.below);

    const representations = sum(entities.map((one) => one.representations.length));
    if (representations > maxRepresentations)
      throw tooMuch(`A request may ask for at most ${maxRepresentations} representations.`);
    const phones = sum(entities.map((one) => one.representations.length * this.phonesIn(one, select.below)));
    if (phones > maxPhones)
      throw tooMuch(`A request may ask for at most ${maxPhones} contact phones; each alias counts.`);
    const bytes = sum(entities.map((one) => this.bytesOfEntities(one, select.below)));
    if (bytes + this.bytesOfOthers(root, select.below) > maxAnswerBytes) {
      throw tooMuch(`The answer could exceed ${maxAnswerBytes} bytes: ask for less in one request.`);
    }
  }

  private selector(document: DocumentNode, coerced: Record<string, unknown>) {
    // The shape that graphql 17 uses.
    const variables = { coerced, sources: {} };
    const definitions = document.definitions.filter((definition) => definition.kind === Kind.FRAGMENT_DEFINITION);
    const fragments = Object.fromEntries(definitions.map((fragment) => [fragment.name.value, fragment]));
    return {
      root: (selectionSet: SelectionSetNode): Fields =>
        collectFields(this.schema, fragments, variables, this.types.query, selectionSet).fields,
      below: (type: GraphQLObjectType, nodes: readonly FieldNode[]): Fields =>
        collectSubFields(this.schema, fragments, variables, type, [...nodes]).fields,
    };
  }

  private entitiesOf(root: Fields, variables: Record<string, unknown>, below: Select): Entities[] {
    const field = this.types.query.getFields()['_entities'];
    return named('_entities', root).flatMap(([key, nodes]) => {
      const [node] = nodes;
      if (!field || !node) return [];
      // The schema guarantees that this is a list, but not what it contains.
      const { representations } = getArgumentValues(field, node, variables) as { representations: unknown[] };
      return [{ key, representations, userFields: below(this.types.user, nodes) }];
    });
  }

  /** How many phones each representation counts as. */
  private phonesIn({ userFields }: Entities, below: Select): number {
    const awaited = (nodes: readonly FieldNode[]) => named('resendAvailableAt', below(this.types.phone, nodes)).length;
    return sum(phonesOf(userFields).map(([, nodes]) => Math.max(1, awaited(nodes))));
  }

  private bytesOfEntities({ key, representations, userFields }: Entities, below: Select): number {
    const path = bytesOfKey(key) + '[,4999,]'.length;
    const ids = named('id', userFields).length;
    const phones = phonesOf(userFields);
    const bytesOfPhones = sum(phones.map(([name, nodes]) => this.bytesOfPhone(path + bytesOfKey(name), nodes, below)));
    const others =
      sum([...userFields.keys()].map(bytesOfKey)) + named('__typename', userFields).length * '"User"'.length;
    const valid = others + bytesOfPhones + '{},'.length;
    return sum(
      representations.map((value) => {
        const id = typeof value === 'object' && value !== null && 'id' in value ? value.id : undefined;
        // An invalid id is not repeated. The error of each phone also contains the id.
        const isShort = typeof id === 'string' && id.length <= maxUserIdLength;
        const bytesOfId = isShort ? Buffer.byteLength(JSON.stringify(id)) : 0;
        return Math.max('null,'.length + maxErrorBytes + path, valid + (ids + phones.length) * bytesOfId);
      }),
    );
  }

  /** The larger of a phone and an error. */
  private bytesOfPhone(path: number, nodes: readonly FieldNode[], below: Select): number {
    const fields = below(this.types.phone, nodes);
    const longest = '"2026-11-23T19:04:05.123Z"'.length;
    const ofPhone = sum([...fields.keys()].map((key) => bytesOfKey(key) + longest)) + '{}'.length;
    return Math.max(ofPhone, 'null'.length + maxErrorBytes + path);
  }

  private bytesOfOthers(root: Fields, below: Select): number {
    const bytesOfPhones = (path: number, fields: Fields) =>
      phonesOf(fields).map(([key, nodes]) => this.bytesOfPhone(path + bytesOfKey(key) + maxUserIdBytes, nodes, below));
    const phones = bytesOfPhones(0, root);
    const users = named('contactPhoneUser', root).map(([key, nodes]) => {
      const fields = below(this.types.user, nodes);
      const others = sum([...fields.keys()].map((name) => bytesOfKey(name) + maxUserIdBytes));
      const failed = maxErrorBytes + bytesOfKey(key) + maxUserIdBytes;
      return Math.max(failed, others + sum(bytesOfPhones(bytesOfKey(key), fields)));
    });
    const services = named('_service', root).flatMap(([, nodes]) =>
      [...below(this.types.service, nodes).keys()].map((key) => bytesOfKey(key) + this.bytesOfSdl),
    );
    return sum([...[...root.keys()].map(bytesOfKey), ...phones, ...users, ...services]);
  }
}

type Select = (type: GraphQLObjectType, nodes: readonly FieldNode[]) => Fields;

const named = (name: string, fields: Fields) => [...fields].filter(([, [node]]) => node?.name.value === name);
const phonesOf = (fields: Fields) => named('contactPhone', fields);
const bytesOfKey = (key: string) => key.length + '"":,'.length;
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

function tooMuch(text: string): Failure {
  return new Failure({ code: 'BAD_USER_INPUT', reason: 'TOO_MUCH_AT_ONCE' }, { text });
}
