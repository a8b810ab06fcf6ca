import { buildSubgraphSchema } from '@apollo/subgraph';
import { fastify } from 'fastify';
import { parse } from 'graphql';
import mercurius from 'mercurius';
import { createContext, resolvers, typeDefs } from './hand-written.js';

const app = fastify();
await app.register(mercurius, {
  schema: buildSubgraphSchema([{ typeDefs: parse(typeDefs), resolvers }]),
  jit: 1,
  context: ({ headers }) => ({ ...createContext(headers.authorization) }),
});
await app.listen({ host: '127.0.0.1', port: Number(process.env['PORT']) });
