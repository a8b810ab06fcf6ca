import 'reflect-metadata';
import { buildSubgraphSchema, printSubgraphSchema } from '@apollo/subgraph';
import { getDocumentNodeFromSchema } from '@graphql-tools/utils';
import { Kind, parse, visit, type GraphQLSchema } from 'graphql';
import { buildSchemaSync, createResolversMap } from 'type-graphql';
import { ContactPhoneResolver } from './contact-phone/contact-phone.resolver.js';

// v2.9: gateways in use do not yet compose later versions.
const link = parse('extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@shareable"])');

// type-graphql has no place for it. In a supergraph the type is everyone's, so it says nothing of phones.
const description = { kind: Kind.STRING, value: 'The operations that change something.' } as const;

/** The executable federation subgraph, made from the decorated classes. */
export function createSchema(): GraphQLSchema {
  const schema = buildSchemaSync({
    resolvers: [ContactPhoneResolver],
    // GraphQL itself checks the types; what it cannot check, the service does.
    validate: false,
    // There is no Query of our own: federation adds the one that a schema needs.
    skipCheck: true,
  });
  const document = visit(getDocumentNodeFromSchema(schema), {
    [Kind.SCHEMA_DEFINITION]: () => null,
    [Kind.OBJECT_TYPE_DEFINITION]: (type) => (type.name.value === 'Mutation' ? { ...type, description } : undefined),
    // TypeScript applies the decorators of parameters last to first.
    [Kind.FIELD_DEFINITION]: (field) => ({ ...field, arguments: field.arguments?.toReversed() }),
  });
  const typeDefs = { ...document, definitions: [...link.definitions, ...document.definitions] };
  // The two libraries give the same map of resolvers different types.
  const modules = [{ typeDefs, resolvers: createResolversMap(schema) }] as Parameters<typeof buildSubgraphSchema>[0];
  return buildSubgraphSchema(modules);
}

/** The SDL that composition reads, which the subgraph also gives out as `_service { sdl }`. */
export function printSchema(schema: GraphQLSchema): string {
  return `${printSubgraphSchema(schema)}\n`;
}
