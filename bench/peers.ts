import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startServer, type Child } from './child.js';
import type { Question, Schema } from './questions.js';

/** The folder of the bench, relative to the compiled one. */
const home = fileURLToPath(new URL('..', import.meta.url));

export interface Peer {
  name: string;
  schema: Schema;
  answers(question: Question): boolean;
  start(upstream: string, scratch: string): Promise<Child>;
}

const handWritten = (name: string, file: string): Peer => ({
  name,
  schema: 'subgraph',
  answers: () => true,
  start: (upstream, scratch) =>
    startServer([join(home, `dist/peers/${file}.js`)], { ZITADEL_URL: upstream }, join(scratch, `${file}.log`)),
});

/** The reference for everything. */
export const bareProxy = handWritten('bare proxy', 'bare-proxy');

/** The production build, with its defaults unless `env` overrides them. */
export const startProduct = (
  env: Record<string, string>,
  logFile: string,
  nodeArgs: readonly string[] = [],
): Promise<Child> => startServer([...nodeArgs, join(home, '../dist/main.js')], env, logFile);

export const product: Peer = {
  name: 'contact-phone-subgraph',
  schema: 'subgraph',
  answers: () => true,
  start: (upstream, scratch) => startProduct({ ZITADEL_URL: upstream }, join(scratch, 'product.log')),
};

/** Enough to see what Connect costs. */
const questionsOverConnect = ['send', 'return', 'refused', 'entities-1', 'entities-100'];

export const productOverConnect: Peer = {
  name: 'contact-phone-subgraph over Connect',
  schema: 'subgraph',
  answers: ({ name }) => questionsOverConnect.includes(name),
  start: (upstream, scratch) =>
    startProduct({ ZITADEL_URL: upstream, ZITADEL_API: 'connect' }, join(scratch, 'product-over-connect.log')),
};

const hiveGateway: Peer = {
  name: 'Hive Gateway',
  schema: 'openapi',
  // It does not serve entities from an OpenAPI file.
  answers: ({ entities }) => entities === 0,
  async start(upstream, scratch) {
    const supergraph = join(scratch, 'supergraph.graphql');
    const compose = join(home, 'node_modules/.bin/mesh-compose');
    execFileSync(compose, ['--config-path', 'hive/mesh.config.ts', '--output', supergraph], {
      cwd: home,
      stdio: 'ignore',
    });
    const gateway = join(home, 'node_modules/.bin/hive-gateway');
    return startServer(
      [gateway, 'supergraph', supergraph, '--host', '127.0.0.1', '--port', '$PORT'],
      { ZITADEL_URL: upstream },
      join(scratch, 'hive-gateway.log'),
    );
  },
};

export const peers: readonly Peer[] = [
  bareProxy,
  product,
  productOverConnect,
  handWritten('mercurius with JIT', 'mercurius'),
  handWritten('graphql-yoga', 'yoga'),
  hiveGateway,
];

export const startUpstream = (scratch: string): Promise<Child> =>
  startServer([join(home, 'dist/upstream.js')], {}, join(scratch, 'upstream.log'));
