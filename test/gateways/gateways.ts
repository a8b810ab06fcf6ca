import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { compileFunction } from 'node:vm';
import { ApolloGateway, RemoteGraphQLDataSource } from '@apollo/gateway';
import { ApolloServer } from '@apollo/server';
import { startStandaloneServer } from '@apollo/server/standalone';
import { createGatewayRuntime, type GatewayConfigSupergraph } from '@graphql-hive/gateway-runtime';
import { openStage } from '../support/stage.js';
import { openAccounts, supergraphSdl } from './supergraph.js';

/** The router secret of the gateways. */
export const secret = 'S3CR3T-of-the-router';
process.env['ROUTER_SECRET'] = secret;

interface Gateway extends AsyncDisposable {
  url: string;
}

/** A value in the JavaScript in docs/routers.md for a gateway. `given` are the names that it does not define. */
export function fromPage(gateway: string, name: string, given: Record<string, unknown> = {}): unknown {
  const [, page = ''] = readFileSync('docs/routers.md', 'utf8').split(/^## Gateways in JavaScript$/m);
  const [shared = '', ...sections] = page.split(/^##+ /m);
  const own = sections.find((section) => section.startsWith(`${gateway}\n`)) ?? '';
  const blocks = [...`${shared}${own}`.matchAll(/^```js\n(?:export )?(.*?)^```/gms)].map(([, block]) => block);
  const code = `${blocks.join('')} return ${name};`;
  return (compileFunction(code, Object.keys(given)) as (...values: unknown[]) => unknown)(...Object.values(given));
}

/** @param dataSource calls subgraphs instead of the gateway's own data source */
export async function openApolloGateway(supergraphSdl: string, dataSource = RemoteGraphQLDataSource): Promise<Gateway> {
  const given = { ApolloGateway, ApolloServer, RemoteGraphQLDataSource: dataSource, supergraphSdl };
  const server = fromPage('@apollo/gateway', 'server', given) as ApolloServer;
  const { url } = await startStandaloneServer(server, {
    listen: { port: 0, host: '127.0.0.1' },
    context: ({ req }) => Promise.resolve({ headers: req.headers }),
  });
  return { url, [Symbol.asyncDispose]: () => server.stop() };
}

export async function openHiveGateway(
  supergraph: string,
  options: Partial<GatewayConfigSupergraph> = {},
): Promise<Gateway> {
  const config = fromPage('Hive Gateway', 'gatewayConfig') as Partial<GatewayConfigSupergraph>;
  const runtime = createGatewayRuntime({ ...config, supergraph, logging: false, ...options });
  const server = createServer((request, response) => void runtime(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await runtime[Symbol.asyncDispose]();
    },
  };
}

export const gateways = [
  ['@apollo/gateway', openApolloGateway],
  ['Hive Gateway', openHiveGateway],
  [
    'Hive Gateway with retries',
    (supergraph: string) => openHiveGateway(supergraph, { upstreamRetry: { maxRetries: 3, retryDelay: 1 } }),
  ],
] as const;

export type OpenGateway = (typeof gateways)[number][1];

/** A frontend's view: a gateway in front of this subgraph, which requires the router secret, and the one that owns users. */
export async function openSupergraph(openGateway: OpenGateway, options?: Parameters<typeof openStage>[1]) {
  const stage = await openStage({ ROUTER_SECRETS: secret }, options);
  const accounts = await openAccounts();
  const gateway = await openGateway(supergraphSdl({ 'contact-phone': stage.graphql, accounts: accounts.url }));
  return {
    stage,
    zitadel: stage.zitadel,
    url: gateway.url,
    /** What a request must send to get past the gateway. */
    ownSecret: { 'x-router-secret': secret },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await accounts[Symbol.asyncDispose]();
      await stage[Symbol.asyncDispose]();
    },
  };
}
