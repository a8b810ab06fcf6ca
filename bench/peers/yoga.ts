import { createServer } from 'node:http';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { parse } from 'graphql';
import { createYoga } from 'graphql-yoga';
import { createContext, resolvers, typeDefs } from './hand-written.js';

const yoga = createYoga({
  schema: buildSubgraphSchema([{ typeDefs: parse(typeDefs), resolvers }]),
  context: ({ request }) => createContext(request.headers.get('authorization') ?? undefined),
  graphiql: false,
  logging: 'error',
});
// It handles the promise returned by its handler itself.
createServer(yoga as unknown as Parameters<typeof createServer>[1]).listen(Number(process.env['PORT']), '127.0.0.1');
