import { printSubgraphSchema } from '@apollo/subgraph';
import { collectFields } from '@graphql-tools/utils';
import {
  assertObjectType,
  getArgumentValues,
  getVariableValues,
  Kind,
  visit,
  type DocumentNode,
  type FieldNode,
  type GraphQLObjectType,
  type GraphQLSchema,
  type OperationDefinitionNode,
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

/** What `_entities` asks for under one response key, for each representation. */
interface Entities {
  node: FieldNode | undefined;
  /** How many phones it counts as. */
  phones: number;
  bytesIfInvalid: number;
  /** Without its id. */
  bytesIfValid: number;
  /** How many times the answer may contain its id. */
  ids: number;
}

/** What a query asks for, whatever users it asks about. */
interface Shape {
  entities: readonly Entities[];
  bytesOfOthers: number;
}

/**
 * Counts what a query asks for before any of it runs, including aliases, fragments and variables. Assumes the largest possible answer, in
 * which every user fails.
 */
export class QueryCost {
  private readonly types;
  private readonly bytesOfSdl;
  /** Null if the shape depends on variables. */
  private readonly shapes = new WeakMap<OperationDefinitionNode, Shape | null>();

  constructor(private readonly schema: GraphQLSchema) {
    const type = (name: string) => assertObjectType(schema.getType(name));
    this.types = { query: type('Query'), user: type('User'), phone: type('ContactPhone'), service: type('_Service') };
    this.bytesOfSdl = JSON.stringify(printSubgraphSchema(schema)).length;
  }

  /**
   * @throws {Failure} if the query asks for too much
   * @throws {GraphQLError} if a variable is null but an argument or condition must not be; otherwise it would fail for each user
   */
  check(document: DocumentNode, operation: OperationDefinitionNode, variables: Record<string, unknown> = {}): void {
    const { variableDefinitions = [] } = operation;
    const { coerced } = getVariableValues(this.schema, variableDefinitions, variables, { maxErrors: 0 });
    // graphql-js will reject the variables.
    if (!coerced) return;
    const { entities, bytesOfOthers } = this.shapeOf(document, operation, coerced);
    const asked = entities.map((one) => ({ ...one, representations: this.representationsOf(one.node, coerced) }));
    if (sum(asked.map((one) => one.representations.length)) > maxRepresentations)
      throw tooMuch(`A request may ask for at most ${maxRepresentations} representations.`);
    if (sum(asked.map((one) => one.representations.length * one.phones)) > maxPhones)
      throw tooMuch(`A request may ask for at most ${maxPhones} contact phones; each alias counts.`);
    const bytes = asked.map(({ representations, bytesIfInvalid, bytesIfValid, ids }) =>
      sum(representations.map((one) => Math.max(bytesIfInvalid, bytesIfValid + ids * bytesOfId(one)))),
    );
    if (sum(bytes) + bytesOfOthers > maxAnswerBytes)
      throw tooMuch(`The answer could exceed ${maxAnswerBytes} bytes: ask for less in one request.`);
  }

  private representationsOf(node: FieldNode | undefined, variables: Record<string, unknown>): readonly unknown[] {
    const field = this.types.query.getFields()['_entities'];
    // The schema guarantees that this is a list, but not what it contains.
    return field && node ? (getArgumentValues(field, node, variables)['representations'] as unknown[]) : [];
  }

  /** Without directives, the shape of a document is always the same. Computing it again would cost 6 % of a request for one user. */
  private shapeOf(document: DocumentNode, operation: OperationDefinitionNode, coerced: Record<string, unknown>): Shape {
    const known = this.shapes.get(operation);
    if (known) return known;
    const select = this.selector(document, coerced);
    const root = select(this.types.query, [operation]);
    const shape = {
      entities: named('_entities', root).map(([key, nodes]) => this.entitiesOf(key, nodes, select)),
      bytesOfOthers: this.bytesOfOthers(root, select),
    };
    if (known === undefined) this.shapes.set(operation, hasDirectives(document) ? null : shape);
    return shape;
  }

  private selector(document: DocumentNode, coerced: Record<string, unknown>): Select {
    // The shape that graphql 17 uses.
    const variables = { coerced, sources: {} };
    const definitions = document.definitions.filter((definition) => definition.kind === Kind.FRAGMENT_DEFINITION);
    const fragments = Object.fromEntries(definitions.map((fragment) => [fragment.name.value, fragment]));
    return (type, nodes) => {
      const selections = nodes.flatMap(({ selectionSet }) => selectionSet?.selections ?? []);
      return collectFields(this.schema, fragments, variables, type, { kind: Kind.SELECTION_SET, selections }).fields;
    };
  }

  private entitiesOf(key: string, nodes: readonly FieldNode[], select: Select): Entities {
    const fields = select(this.types.user, nodes);
    const path = bytesOfKey(key) + '[,4999,]'.length;
    const phones = phonesOf(fields);
    const awaited = phones.map(([, of]) => named('resendAvailableAt', select(this.types.phone, of)).length);
    const bytesOfPhones = sum(phones.map(([name, of]) => this.bytesOfPhone(path + bytesOfKey(name), of, select)));
    const others = sum([...fields.keys()].map(bytesOfKey)) + named('__typename', fields).length * '"User"'.length;
    return {
      node: nodes[0],
      phones: sum(awaited.map((times) => Math.max(1, times))),
      bytesIfInvalid: 'null,'.length + maxErrorBytes + path,
      bytesIfValid: others + bytesOfPhones + '{},'.length,
      // The error of each phone also contains the id.
      ids: named('id', fields).length + phones.length,
    };
  }

  /** The larger of a phone and an error. */
  private bytesOfPhone(path: number, nodes: readonly FieldNode[], select: Select): number {
    const fields = select(this.types.phone, nodes);
    const longest = '"2026-11-23T19:04:05.123Z"'.length;
    const ofPhone = sum([...fields.keys()].map((key) => bytesOfKey(key) + longest)) + '{}'.length;
    return Math.max(ofPhone, 'null'.length + maxErrorBytes + path);
  }

  private bytesOfOthers(root: Fields, select: Select): number {
    const bytesOfPhones = (path: number, fields: Fields) =>
      phonesOf(fields).map(([key, nodes]) => this.bytesOfPhone(path + bytesOfKey(key) + maxUserIdBytes, nodes, select));
    const phones = bytesOfPhones(0, root);
    const users = named('contactPhoneUser', root).map(([key, nodes]) => {
      const fields = select(this.types.user, nodes);
      const others = sum([...fields.keys()].map((name) => bytesOfKey(name) + maxUserIdBytes));
      const failed = maxErrorBytes + bytesOfKey(key) + maxUserIdBytes;
      return Math.max(failed, others + sum(bytesOfPhones(bytesOfKey(key), fields)));
    });
    const services = named('_service', root).flatMap(([, nodes]) =>
      [...select(this.types.service, nodes).keys()].map((key) => bytesOfKey(key) + this.bytesOfSdl),
    );
    return sum([...[...root.keys()].map(bytesOfKey), ...phones, ...users, ...services]);
  }
}

type Select = (type: GraphQLObjectType, nodes: readonly Pick<FieldNode, 'selectionSet'>[]) => Fields;

const named = (name: string, fields: Fields) => [...fields].filter(([, [node]]) => node?.name.value === name);
const phonesOf = (fields: Fields) => named('contactPhone', fields);
const bytesOfKey = (key: string) => key.length + '"":,'.length;
const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

/** The bytes of a representation's id in JSON. An invalid id is not repeated. */
function bytesOfId(representation: unknown): number {
  const { id } = Object(representation) as { id?: unknown };
  if (typeof id !== 'string' || id.length > maxUserIdLength) return 0;
  return Buffer.byteLength(JSON.stringify(id));
}

function hasDirectives(document: DocumentNode): boolean {
  let found = false;
  visit(document, { [Kind.DIRECTIVE]: () => void (found = true) });
  return found;
}

function tooMuch(text: string): Failure {
  return new Failure({ code: 'BAD_USER_INPUT', reason: 'TOO_MUCH_AT_ONCE' }, { text });
}
