import { readFileSync } from 'node:fs';
import { ApolloServer } from '@apollo/server';
import { ApolloServerPluginInlineTraceDisabled } from '@apollo/server/plugin/disabled';
import { startStandaloneServer } from '@apollo/server/standalone';
import { composeServices, type CompositionResult } from '@apollo/composition';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse, type DocumentNode } from 'graphql';
import { roverYaml } from '../support/rover.js';

/** The subgraph that owns users. */
const accountsSdl = `
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])

  "What can be read."
  type Query {
    user(id: ID!): User
    users(ids: [ID!]!): [User!]!
  }

  "What can be changed."
  type Mutation {
    rename(id: ID!, name: String!): User
  }

  "Somebody with an account."
  type User @key(fields: "id") {
    "It never changes."
    id: ID!
    name: String
  }
`;

/** The subgraph in rover.yaml and the one that owns users. Their addresses can be overridden, and the SDL of the first changed. */
export function subgraphs(
  urls: Partial<Record<string, string>> = {},
  change: (sdl: string) => string = (sdl) => sdl,
): { name: string; url: string; typeDefs: DocumentNode }[] {
  const named = Object.entries(roverYaml.subgraphs).map(([name, { routing_url, schema }]) => ({
    name,
    url: urls[name] ?? routing_url,
    typeDefs: parse(change(readFileSync(schema.file, 'utf8'))),
  }));
  const accounts = urls['accounts'] ?? 'http://localhost:4002/graphql';
  return [...named, { name: 'accounts', url: accounts, typeDefs: parse(accountsSdl) }];
}

/** Composes them. */
export const compose = (...changes: Parameters<typeof subgraphs>): CompositionResult =>
  composeServices(subgraphs(...changes));

/** Composes the committed schema with another subgraph that owns users. */
export function composeWith(accountsSdl: string): CompositionResult {
  return composeServices([
    { name: 'contact-phone', typeDefs: parse(readFileSync('schema/contact-phone.graphql', 'utf8')) },
    { name: 'accounts', typeDefs: parse(accountsSdl) },
  ]);
}

/** The supergraph's SDL. */
export function supergraphSdl(urls: Partial<Record<string, string>> = {}): string {
  const { supergraphSdl: sdl, errors } = compose(urls);
  if (sdl === undefined) throw new AggregateError(errors);
  return sdl;
}

/** Starts the subgraph that owns users. In it, every user exists. */
export async function openAccounts() {
  const account = ({ id }: { id: string }) => ({ id, name: `Name of ${id}` });
  const resolvers = {
    Query: {
      user: (_: unknown, args: { id: string }) => account(args),
      users: (_: unknown, { ids }: { ids: string[] }) => ids.map((id) => account({ id })),
    },
    User: { __resolveReference: account },
  };
  const server = new ApolloServer({
    schema: buildSubgraphSchema({ typeDefs: parse(accountsSdl), resolvers }),
    plugins: [ApolloServerPluginInlineTraceDisabled()],
  });
  const { url } = await startStandaloneServer(server, { listen: { port: 0, host: '127.0.0.1' } });
  return { url, [Symbol.asyncDispose]: () => server.stop() };
}
