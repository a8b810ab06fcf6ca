import 'reflect-metadata';
import { buildSubgraphSchema, printSubgraphSchema } from '@apollo/subgraph';
import { getDocumentNodeFromSchema } from '@graphql-tools/utils';
import { Kind, parse, visit, type GraphQLSchema } from 'graphql';
import { buildSchemaSync, createResolversMap } from 'type-graphql';
import { ContactPhoneResolver } from '../contact-phone/contact-phone.resolver.js';
import { resolveEntities } from '../contact-phone/entities.js';

// v2.9: not all gateways in use can compose later versions yet.
const link = parse(
  'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable"])',
);

/** Builds the executable federation subgraph from the decorated classes. */
export function createSchema(): GraphQLSchema {
  const schema = buildSchemaSync({
    resolvers: [ContactPhoneResolver],
    // GraphQL itself checks the types; the service checks the rest.
    validate: false,
  });
  const document = visit(getDocumentNodeFromSchema(schema), {
    // TypeScript applies parameter decorators from last to first.
    [Kind.FIELD_DEFINITION]: (field) => ({ ...field, arguments: field.arguments?.toReversed() }),
  });
  const typeDefs = { ...document, definitions: [...link.definitions, ...document.definitions] };
  const resolvers = createResolversMap(schema);
  // Apollo's own resolver would fail the whole list, with an internal error, for one invalid representation.
  Object.assign(resolvers['Query'] as object, { _entities: resolveEntities });
  // The two libraries give the same map of resolvers different types.
  const modules = [{ typeDefs, resolvers }] as Parameters<typeof buildSubgraphSchema>[0];
  return buildSubgraphSchema(modules);
}

/** The SDL for composition. The subgraph also serves it as `_service { sdl }`. */
export function printSchema(schema: GraphQLSchema): string {
  return `${printSubgraphSchema(schema)}\n`;
}
