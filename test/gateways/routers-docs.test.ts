import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:http2';
import { dirname, join } from 'node:path';
import { once } from 'node:events';
import { RemoteGraphQLDataSource } from '@apollo/gateway';
import type { GatewayConfigSupergraph } from '@graphql-hive/gateway-runtime';
import { buildSchema, parse, validate, visit } from 'graphql';
import { expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { environment } from '../../src/config/environment.js';
import { users } from '../../src/embedded-zitadel/population.js';
import { openBalancer } from '../support/balancer.js';
import { extensionKeys } from '../support/extensions.js';
import { blocks, headings, section } from '../support/markdown.js';
import { roverYaml } from '../support/rover.js';
import { manager, openStage, post, unverified } from '../support/stage.js';
import { fromPage, openApolloGateway, openHiveGateway, openSupergraph, secret } from './gateways.js';
import { openAccounts, supergraphSdl } from './supergraph.js';

const page = readFileSync('docs/routers.md', 'utf8');
const text = page.replace(/\s+/g, ' ');
const [subgraph = ''] = Object.keys(roverYaml.subgraphs);
const defaults = environment.parse({ ZITADEL_URL: 'https://example.com' });

interface Settings {
  headers: { subgraphs: Record<string, { request: unknown }> };
  traffic_shaping: { subgraphs: Record<string, { timeout?: string; request_timeout?: string }> };
}

/** The settings of the page for a router. */
const settingsOf = (router: string) => parseYaml(blocks(section(page, router), 'yaml')[0] ?? '') as Settings;

const routers = ['Apollo Router', 'Hive Router', 'Cosmo Router'];

test.for(routers)('its settings for %s are for this subgraph, and wait longer than it takes', (router) => {
  const { headers, traffic_shaping } = settingsOf(router);

  expect(Object.keys(headers.subgraphs)).toEqual([subgraph]);
  expect(Object.keys(traffic_shaping.subgraphs)).toEqual([subgraph]);
  const { timeout, request_timeout = timeout } = traffic_shaping.subgraphs[subgraph] ?? {};
  const [, seconds] = /^(\d+)s$/.exec(request_timeout ?? '') ?? [];
  // Enough for a document with two mutations.
  expect(Number(seconds) * 1000).toBeGreaterThan(2 * defaults.ZITADEL_TIMEOUT_MS);
  expect(text).toContain(`The settings below wait ${seconds} seconds.`);
  expect(text).toContain(`\`ZITADEL_TIMEOUT_MS\`, ${defaults.ZITADEL_TIMEOUT_MS / 1000} seconds by default`);
});

test('its settings for Apollo Router forward three headers, send the secret, and pass errors through', () => {
  expect(settingsOf('Apollo Router')).toMatchObject({
    headers: {
      subgraphs: {
        [subgraph]: {
          request: {
            operations: [
              { propagate: { named: 'authorization' } },
              { propagate: { named: 'accept-language' } },
              { propagate: { named: 'x-request-id' } },
              { insert: { name: 'x-router-secret', value: '${env.ROUTER_SECRET}' } },
            ],
            masking: { sensitive_headers: ['x-router-secret'] },
          },
        },
      },
    },
    include_subgraph_errors: { subgraphs: { [subgraph]: true } },
  });
});

test('its settings for Hive Router forward three headers, send the secret, and pass errors through', () => {
  expect(settingsOf('Hive Router')).toMatchObject({
    headers: {
      subgraphs: {
        [subgraph]: {
          request: [
            { propagate: { named: ['authorization', 'accept-language', 'x-request-id'] } },
            { insert: { name: 'x-router-secret', value: { from_env: 'ROUTER_SECRET' } } },
          ],
        },
      },
    },
    error_masking: { subgraphs: { [subgraph]: { enabled: false } } },
  });
  expect(text).toContain(`\`MAX_ALIASES\` allows ${defaults.MAX_ALIASES} by default`);
  expect(text).toContain(`\`max_aliases_per_request: ${defaults.MAX_ALIASES}\``);
});

test('its settings for Cosmo Router forward three headers, send the secret, and pass errors through', () => {
  expect(settingsOf('Cosmo Router')).toMatchObject({
    headers: {
      subgraphs: {
        [subgraph]: {
          request: [
            { op: 'propagate', named: 'Authorization' },
            { op: 'propagate', named: 'Accept-Language' },
            { op: 'propagate', named: 'X-Request-Id' },
            { op: 'set', name: 'X-Router-Secret', value: '${ROUTER_SECRET}' },
          ],
        },
      },
    },
    subgraph_error_propagation: { mode: 'pass-through', allowed_extension_fields: extensionKeys },
    engine: { disable_exposing_variables_content_on_validation_error: true },
  });
});

test('its input for the composition of Cosmo names the same subgraph as rover.yaml', () => {
  const [, graph = ''] = blocks(section(page, 'Cosmo Router'), 'yaml');

  expect(parseYaml(graph)).toEqual({
    version: 1,
    subgraphs: Object.entries(roverYaml.subgraphs).map(([name, subgraph]) => ({ name, ...subgraph })),
  });
});

test('it has no block that no test reads', () => {
  const kinds = [...page.matchAll(/^```(\w+)$/gm)].map(([, kind]) => kind);

  // YAML for three routers and a composition; JavaScript for both gateways, one each, and retries.
  expect(kinds.sort()).toEqual(['graphql', 'js', 'js', 'js', 'js', 'yaml', 'yaml', 'yaml', 'yaml']);
});

test('it names the versions of the gateways in the tests', () => {
  const majorOf = (name: string) =>
    (JSON.parse(readFileSync(`test/gateways/node_modules/${name}/package.json`, 'utf8')) as { version: string }).version
      .split('.')
      .shift();

  const [hive, apollo] = ['@graphql-hive/gateway-runtime', '@apollo/gateway'].map(majorOf);
  expect(text).toContain(`Hive Gateway ${hive} or @apollo/gateway ${apollo}.`);
});

test('its query is valid in a supergraph with users', () => {
  const supergraph = buildSchema(supergraphSdl(), { assumeValidSDL: true });

  for (const document of blocks(page, 'graphql')) expect(validate(supergraph, parse(document))).toEqual([]);
});

test('it links to files and headings that exist', () => {
  for (const [, target = ''] of page.matchAll(/\]\((?!https?:)(.*?)\)/g)) {
    const [file = '', anchor] = target.split('#');
    const path = join(dirname('docs/routers.md'), file);
    expect(existsSync(path), target).toBe(true);
    if (anchor === undefined) continue;
    const anchors = headings(readFileSync(path, 'utf8')).map((heading) =>
      heading.text
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    );
    expect(anchors, target).toContain(anchor);
  }
});

test('each field weighs ten for each call that it makes to ZITADEL', async () => {
  await using stage = await openStage();
  const userId = users.phoneless.userId;
  const weights: Record<string, number> = {};
  visit(parse(readFileSync('schema/contact-phone.graphql', 'utf8')), {
    FieldDefinition: ({ name, directives }) => {
      const [argument] = directives?.find((directive) => directive.name.value === 'cost')?.arguments ?? [];
      if (argument && 'value' in argument.value) weights[name.value] = Number(argument.value.value);
    },
  });

  const calls: Record<string, number> = {};
  const count = async (field: string, operation: Promise<unknown>) => {
    const before = stage.zitadel.calls.length;
    await operation;
    calls[field] = stage.zitadel.calls.length - before;
  };
  const details = 'details { sequence }';
  const mutate = (field: string) => post(stage.graphql, { query: `mutation { ${field} { ${details} } }` }, manager);
  await count('setContactPhone', mutate(`setContactPhone(userId: "${userId}", number: "+41795550103")`));
  await count('resendContactPhoneCode', mutate(`resendContactPhoneCode(userId: "${userId}")`));
  const read = (query: string) => post(stage.graphql, { query }, manager);
  await count('contactPhone', read(`{ contactPhone(userId: "${userId}") { number } }`));
  await count('contactPhoneUser', read(`{ contactPhoneUser(userId: "${userId}") { id contactPhone { number } } }`));
  const code = stage.zitadel.pendingCode(userId) ?? '';
  await count('verifyContactPhone', mutate(`verifyContactPhone(userId: "${userId}", verificationCode: "${code}")`));
  await count('removeContactPhone', mutate(`removeContactPhone(userId: "${userId}")`));

  expect(weights).toEqual(Object.fromEntries(Object.entries(calls).map(([field, times]) => [field, times * 10])));
  const weighing = (weight: number) =>
    Object.keys(weights)
      .filter((field) => weights[field] === weight)
      .map((field) => `\`${field}\``)
      .sort();
  const named = (sentence: RegExp) => (sentence.exec(text)?.[1]?.match(/`\w+`/g) ?? []).sort();
  expect(named(/10 is one call to ZITADEL: ([^.]*) weigh 10\./)).toEqual(weighing(10));
  expect(named(/weigh 10\. ([^.]*) weigh 20,/)).toEqual(weighing(20));
});

test('the server logs and returns a request id, and generates one if the router forwards none', async () => {
  await using stage = await openStage();

  const given = await stage.resend({}, { ...manager, 'x-request-id': 'id-of-the-client' });
  const generated = await stage.resend({}, manager);

  const ids = [given, generated].map(({ headers }) => headers.get('x-request-id'));
  expect(ids).toEqual(['id-of-the-client', expect.stringMatching(/^[\da-f-]{36}$/)]);
  for (const id of ids) expect(stage.lines.join('')).toContain(`"requestId":"${id}"`);
});

test('Hive Gateway waits as long as the routers, and only for this subgraph', () => {
  const { upstreamTimeout } = fromPage('Hive Gateway', 'gatewayConfig') as {
    upstreamTimeout: (call: { subgraphName: string }) => number | undefined;
  };

  const { request_timeout } = settingsOf('Hive Router').traffic_shaping.subgraphs[subgraph] ?? {};
  expect(`${Number(upstreamTimeout({ subgraphName: subgraph })) / 1000}s`).toBe(request_timeout);
  expect(upstreamTimeout({ subgraphName: 'accounts' })).toBeUndefined();
});

type RetryOptions = Exclude<GatewayConfigSupergraph['upstreamRetry'], undefined>;
type Retry = Extract<RetryOptions, (...args: never[]) => unknown>;

const ofPage: Retry = (call) => {
  const options = (fromPage('Hive Gateway', 'upstreamRetry') as Retry)(call);
  return options && { ...options, retryDelay: 1 };
};

test.for<[string, RetryOptions | undefined, { reads: number; writes: number }]>([
  ['nothing by default', undefined, { reads: 1, writes: 1 }],
  ['mutations too with plain retries', { maxRetries: 3, retryDelay: 1 }, { reads: 2, writes: 2 }],
  ['only queries with the retries of the page', ofPage, { reads: 2, writes: 1 }],
])('Hive Gateway repeats %s', async ([, upstreamRetry, expected]) => {
  await using stage = await openStage({ ROUTER_SECRETS: secret });
  await using balancer = await openBalancer(stage.graphql);
  await using accounts = await openAccounts();
  await using gateway = await openHiveGateway(
    supergraphSdl({ [subgraph]: balancer.url, accounts: accounts.url }),
    upstreamRetry && { upstreamRetry },
  );

  balancer.disturb('lost');
  await post(gateway.url, { query: `{ contactPhone(userId: "${unverified}") { number } }` }, manager);
  const reads = stage.zitadel.calls.length;
  balancer.disturb('lost');
  const mutation = `mutation { resendContactPhoneCode(userId: "${unverified}", mode: RETURN_CODE) { details { sequence } } }`;
  await post(gateway.url, { query: mutation }, manager);

  expect({ reads, writes: stage.zitadel.writes.length }).toEqual(expected);
});

test('the server refuses a persisted query, and @apollo/gateway then fails every request if it sends them', async () => {
  const withApq = class extends RemoteGraphQLDataSource {
    override apq = true;
  };
  await using supergraph = await openSupergraph((sdl: string) => openApolloGateway(sdl, withApq));
  const query = `{ contactPhone(userId: "${unverified}") { number } }`;
  const persistedQuery = { version: 1, sha256Hash: 'a'.repeat(64) };

  const own = await post(supergraph.stage.graphql, { extensions: { persistedQuery } }, supergraph.ownSecret);
  const first = await post(supergraph.url, { query }, manager);
  const second = await post(supergraph.url, { query }, manager);

  for (const { errors } of [own, first, second]) {
    expect(errors).toMatchObject([{ extensions: { code: 'PERSISTED_QUERY_NOT_SUPPORTED' } }]);
  }
  expect(supergraph.zitadel.calls).toEqual([]);
});

test('the server refuses @defer, but a gateway can defer the phone of a user', async () => {
  await using supergraph = await openSupergraph((sdl: string) => openHiveGateway(sdl, { deferStream: true }));
  const { stage, url, ownSecret } = supergraph;

  const refused = await post(
    stage.graphql,
    { query: `{ ... @defer { contactPhone(userId: "${unverified}") { number } } }` },
    { ...manager, ...ownSecret },
  );
  const deferred = await fetch(url, {
    method: 'POST',
    headers: { ...manager, 'content-type': 'application/json', accept: 'multipart/mixed' },
    body: JSON.stringify({ query: `{ user(id: "${unverified}") { name ... @defer { contactPhone { number } } } }` }),
  });

  expect(refused.errors).toMatchObject([{ extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }]);
  const parts = [...(await deferred.text()).matchAll(/^\{.*\}\r?$/gm)].map(([part]) => JSON.parse(part) as object);
  expect(parts).toMatchObject([
    { data: { user: { name: `Name of ${unverified}` } }, hasNext: true },
    { incremental: [{ data: { contactPhone: { number: '+41791234567' } }, path: ['user'] }] },
  ]);
  expect(supergraph.zitadel.calls).toMatchObject([{ rpc: 'GetUserByID' }]);
});

test('the server cannot be reached by HTTP/2, and stays available for HTTP/1.1', async () => {
  await using stage = await openStage();
  const session = connect(stage.url);

  const [error] = (await once(session, 'error')) as [Error & { code: string }];

  expect(error.code).toBe('ERR_HTTP2_ERROR');
  expect((await stage.resend()).errors).toBeUndefined();
});
