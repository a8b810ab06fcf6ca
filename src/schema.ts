import 'reflect-metadata';
import { buildSubgraphSchema, printSubgraphSchema } from '@apollo/subgraph';
import { getDocumentNodeFromSchema } from '@graphql-tools/utils';
import { Kind, parse, visit, type GraphQLSchema } from 'graphql';
import { buildSchemaSync, createResolversMap } from 'type-graphql';
import { ContactPhoneResolver } from './contact-phone/contact-phone.resolver.js';
import { resolveEntities } from './contact-phone/entities.js';

// v2.9: gateways in use do not yet compose later versions.
const link = parse(
  'extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key", "@shareable"])',
);

/** The executable federation subgraph, made from the decorated classes. */
export function createSchema(): GraphQLSchema {
  const schema = buildSchemaSync({
    resolvers: [ContactPhoneResolver],
    // GraphQL itself checks the types; what it cannot check, the service does.
    validate: false,
  });
  const document = visit(getDocumentNodeFromSchema(schema), {
    // TypeScript applies the decorators of parameters last to first.
    [Kind.FIELD_DEFINITION]: (field) => ({ ...field, arguments: field.arguments?.toReversed() }),
  });
  const typeDefs = { ...document, definitions: [...link.definitions, ...document.definitions] };
  const resolvers = createResolversMap(schema);
  // Apollo's own would fail the whole list, as by a fault of this server, for one representation that is none.
  Object.assign(resolvers['Query'] as object, { _entities: resolveEntities });
  // The two libraries give the same map of resolvers different types.
  const modules = [{ typeDefs, resolvers }] as Parameters<typeof buildSubgraphSchema>[0];
  return buildSubgraphSchema(modules);
}

/** The SDL that composition reads, which the subgraph also gives out as `_service { sdl }`. */
export function printSchema(schema: GraphQLSchema): string {
  return `${printSubgraphSchema(schema)}\n`;
}
