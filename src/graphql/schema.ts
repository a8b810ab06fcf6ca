import 'reflect-metadata';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { collectFields, getDocumentNodeFromSchema } from '@graphql-tools/utils';
import { assertObjectType, Kind, parse, visit, type GraphQLResolveInfo, type GraphQLSchema } from 'graphql';
import { buildSchemaSync, createResolversMap } from 'type-graphql';
import { ContactPhoneResolver, type ContactPhoneContext } from '../contact-phone/contact-phone.resolver.js';
import type { User } from '../contact-phone/contact-phone.types.js';
import { badUserId } from '../contact-phone/validation.js';
import { Failure } from '../failure.js';

// v2.9: not all gateways in use can compose later versions yet.
const link = parse(
  'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@cost", "@key", "@tag"])',
);

/** Builds the executable federation subgraph from the decorated classes. */
export function createSchema(): GraphQLSchema {
  const schema = buildSchemaSync({
    resolvers: [ContactPhoneResolver],
    // GraphQL itself checks the types; the service checks the rest.
    validate: false,
  });
  const typeDefs = visit(getDocumentNodeFromSchema(schema), {
    // TypeScript applies parameter decorators from last to first.
    [Kind.FIELD_DEFINITION]: (field) => ({ ...field, arguments: field.arguments?.toReversed() }),
  });
  const modules = [
    { typeDefs, resolvers: createResolversMap(schema) },
    // Apollo's own resolver would fail the whole list, with an internal error, for one invalid representation.
    { typeDefs: link, resolvers: { Query: { _entities: resolveEntities } } },
  ];
  // The two libraries declare the same map of resolvers differently.
  return buildSubgraphSchema(modules as Parameters<typeof buildSubgraphSchema>[0]);
}

/** The names of the fields that an operation may begin with. */
export function rootFields(schema: GraphQLSchema): string[] {
  return [schema.getQueryType(), schema.getMutationType()].flatMap((type) => Object.keys(type?.getFields() ?? {}));
}

/** A reference to an entity, as the router sent it. */
interface Representation {
  __typename?: unknown;
  id?: unknown;
}

/** Federation finds the type of an entity by its `__typename`. */
type Entity = User & { __typename: 'User' };

/**
 * Resolves `_entities`. Each representation becomes a user, or fails without affecting the others: graphql-js treats an Error in a list as
 * the failure of that item.
 *
 * If phones are selected, they are all read before any field is resolved: awaiting in each field would cost more than everything else.
 */
async function resolveEntities(
  _source: unknown,
  { representations }: { representations: readonly Representation[] },
  { phones }: ContactPhoneContext,
  info: GraphQLResolveInfo,
): Promise<(Entity | Failure)[]> {
  const entities = representations.map((representation) => entityOf(representation, phones));
  const users = entities.filter((entity): entity is Entity => !(entity instanceof Failure));
  if (asksForPhones(info)) {
    const all = await phones.readAll(users.map(({ id }) => id));
    for (const [index, user] of users.entries()) user.contactPhone = all[index] ?? null;
  } else {
    // If `asksForPhones` missed a selection, each phone is read on its own. Null would mean that there is no phone.
    for (const user of users) user.contactPhone = () => phones.read(user.id);
  }
  return entities;
}

function asksForPhones({ schema, fragments, variableValues, fieldNodes }: GraphQLResolveInfo): boolean {
  const type = assertObjectType(schema.getType('User'));
  // The shape that graphql 17 uses. Without it, no variable would be found.
  const variables = { coerced: variableValues, sources: {} };
  const selections = fieldNodes.flatMap(({ selectionSet }) => selectionSet?.selections ?? []);
  const { fields } = collectFields(schema, fragments, variables, type, { kind: Kind.SELECTION_SET, selections });
  return [...fields.values()].some(([node]) => node?.name.value === 'contactPhone');
}

/**
 * An id must be a string, since a number may have lost digits.
 * https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec
 */
function entityOf({ __typename, id }: Representation, phones: ContactPhoneContext['phones']): Entity | Failure {
  if (__typename !== 'User' || typeof id !== 'string') return invalidRepresentation;
  // No argument of `_entities` is called userId.
  if (!phones.isUserId(id)) return badUserId(id).with({ argument: undefined });
  return { __typename, id, contactPhone: null };
}

const invalidRepresentation = new Failure({ code: 'BAD_USER_INPUT', reason: 'REPRESENTATION_INVALID' });
