import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse } from 'graphql';
import { createYoga } from 'graphql-yoga';

// A subgraph that owns users, as small as one can be. It answers any caller: a real one would check who is asking.

export const typeDefs = parse(`
  extend schema @link(url: "https://specs.apollo.dev/federation/v2.9", import: ["@key"])

  type Query {
    "The users with these ids, in this order. Null for an unknown id."
    users(ids: [ID!]!): [User]!
  }

  type User @key(fields: "id") {
    id: ID!
    name: String
  }
`);

/** The names of the demo's users. */
const names = {
  '301000000000000101': 'Anna Keller',
  '301000000000000102': 'Luca Rossi',
  '301000000000000103': 'Mia Schmid',
  '301000000000000104': 'Noah Weber',
  '301000000000000105': 'Nightly Import',
  '301000000000000201': 'Lena Graf',
  '301000000000000202': 'Elias Baumann',
  '301000000000000203': 'Sofia Meier',
  '301000000000000204': 'Jonas Frei',
  '302000000000000101': 'Emma Fischer',
};

const userOf = (id) => (Object.hasOwn(names, id) ? { id, name: names[id] } : null);

const resolvers = {
  Query: { users: (_, { ids }) => ids.map(userOf) },
  User: { __resolveReference: ({ id }) => userOf(id) },
};

/** The subgraph as a handler of HTTP requests. */
export const users = createYoga({
  schema: buildSubgraphSchema({ typeDefs, resolvers }),
  graphiql: false,
  landingPage: false,
  logging: false,
});
