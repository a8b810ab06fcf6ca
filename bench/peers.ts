import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { composeServices } from '@theguild/federation-composition';
import { parse } from 'graphql';
import { isAccepting, startServer, withOthers, type Child } from './child.js';
import { productProgram } from './npm-start.js';
import { mainQuestions, type Question, type Schema } from './questions.js';
import { startRedis } from './redis.js';

/** The folder of the bench, relative to the compiled one. */
const home = fileURLToPath(new URL('..', import.meta.url));

export interface Peer {
  name: string;
  schema: Schema;
  answers(question: Question): boolean;
  start(upstream: string, scratch: string): Promise<Child>;
}

type Asked = readonly string[] | 'all';
const isAskedIn =
  (asked: Asked) =>
  ({ name }: Question) =>
    asked === 'all' || asked.includes(name);

const handWritten = (name: string, file: string, asked: Asked): Peer => ({
  name,
  schema: 'subgraph',
  answers: isAskedIn(asked),
  start: (upstream, scratch) =>
    startServer([join(home, `dist/peers/${file}.js`)], { ZITADEL_URL: upstream }, join(scratch, `${file}.log`)),
});

const bareProxy = handWritten('bare proxy', 'bare-proxy', 'all');
const mercurius = handWritten('mercurius with JIT', 'mercurius', 'all');
const yoga = handWritten('graphql-yoga', 'yoga', mainQuestions);

/** The production build, with its defaults unless `env` overrides them. */
export const startProduct = (
  env: Record<string, string>,
  logFile: string,
  nodeArgs: readonly string[] = [],
): Promise<Child> => startServer([...nodeArgs, productProgram], env, logFile);

export const product: Peer = {
  name: 'contact-phone-subgraph',
  schema: 'subgraph',
  answers: () => true,
  start: (upstream, scratch) => startProduct({ ZITADEL_URL: upstream }, join(scratch, 'product.log')),
};

/** In a scenario, `$` and one of these names stands for the URL of a process that is started with the product. */
const helpers: Record<string, (scratch: string) => Promise<Child>> = {
  Redis: startRedis,
  async collector(scratch) {
    const child = await startServer([join(home, 'dist/collector.js')], {}, join(scratch, 'collector.log'));
    await isAccepting(child);
    return child;
  },
};

interface Scenario {
  name: string;
  env: Record<string, string>;
  asked: readonly string[];
}

const connect = { ZITADEL_API: 'connect' };
const redis = { REDIS_URL: '$Redis', PHONE_HASH_KEY: 'the-key-of-the-bench' };
const traces = {
  OTEL_EXPORTER_OTLP_ENDPOINT: '$collector',
  OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
  OTEL_TRACES_SAMPLER_ARG: '0.1',
};

/** How else the product can be configured. RETURN_CODE, refusals and reads use no shared limit, so Redis would add nothing to them. */
const scenarios: readonly Scenario[] = [
  { name: 'over Connect', env: connect, asked: ['send', 'return', 'entities-100'] },
  { name: 'with Redis', env: redis, asked: ['send'] },
  { name: 'with 10 % of traces', env: traces, asked: ['send', 'return'] },
  { name: 'with all three', env: { ...connect, ...redis, ...traces }, asked: ['send'] },
];

const productIn = ({ name, env, asked }: Scenario): Peer => ({
  name: `${product.name} ${name}`,
  schema: 'subgraph',
  answers: isAskedIn(asked),
  async start(upstream, scratch) {
    const others: Record<string, Child> = {};
    const resolved: Record<string, string> = { ZITADEL_URL: upstream };
    for (const [variable, value] of Object.entries(env)) {
      const helper = value.slice(1);
      const child = value.startsWith('$') ? await helpers[helper]?.(scratch) : undefined;
      if (child) others[helper] = child;
      resolved[variable] = child?.url ?? value;
    }
    const server = await startProduct(resolved, join(scratch, `product-${name.replace(/\W+/g, '-')}.log`));
    return withOthers(server, others);
  },
});

const startGateway = (supergraph: string, args: readonly string[], env: Record<string, string>, logFile: string) =>
  startServer(
    [
      join(home, 'node_modules/.bin/hive-gateway'),
      'supergraph',
      supergraph,
      '--host',
      '127.0.0.1',
      '--port',
      '$PORT',
      ...args,
    ],
    env,
    logFile,
  );

/** With the settings that docs/routers.md recommends. */
const gatewayBefore = (subgraph: Peer): Peer => ({
  name: `Hive Gateway → ${subgraph.name}`,
  schema: 'subgraph',
  answers: isAskedIn(['gateway']),
  async start(upstream, scratch) {
    const child = await subgraph.start(upstream, scratch);
    await isAccepting(child);
    const typeDefs = parse(readFileSync(join(home, '../schema/contact-phone.graphql'), 'utf8'));
    const { supergraphSdl, errors } = composeServices([
      { name: 'contact-phone', url: `${child.url}/graphql`, typeDefs },
    ]);
    if (supergraphSdl === undefined) throw new AggregateError(errors ?? [], 'The subgraph does not compose.');
    const file = join(scratch, `${subgraph.name}.graphql`);
    writeFileSync(file, supergraphSdl);
    const args = ['--config-path', join(home, '../deploy/supergraph/gateway.config.js')];
    return withOthers(await startGateway(file, args, {}, `${file}.log`), { subgraph: child });
  },
});

const gatewayOverOpenApi: Peer = {
  name: 'Hive Gateway over OpenAPI',
  schema: 'openapi',
  answers: isAskedIn(['gateway']),
  start(upstream, scratch) {
    const supergraph = join(scratch, 'openapi.graphql');
    const compose = join(home, 'node_modules/.bin/mesh-compose');
    execFileSync(compose, ['--config-path', 'hive/mesh.config.ts', '--output', supergraph], {
      cwd: home,
      stdio: 'ignore',
    });
    return startGateway(supergraph, [], { ZITADEL_URL: upstream }, join(scratch, 'openapi.log'));
  },
};

export const peers: readonly Peer[] = [
  bareProxy,
  product,
  ...scenarios.map(productIn),
  mercurius,
  yoga,
  gatewayBefore(product),
  gatewayBefore(mercurius),
  gatewayOverOpenApi,
];

/** The peers that are also started and left idle. */
export const startedPeers: readonly Peer[] = [bareProxy, product, mercurius, yoga, gatewayOverOpenApi];

export const startUpstream = (scratch: string): Promise<Child> =>
  startServer([join(home, 'dist/upstream.js')], {}, join(scratch, 'upstream.log'));
