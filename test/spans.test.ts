import { readFileSync } from 'node:fs';
import { request, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { version } from '../src/version.js';
import { attributesOf, openCollector, type Span } from './support/collector.js';
import { section } from './support/markdown.js';
import { manager, openStage, post, unverified, zitadelApi } from './support/stage.js';

// What the spans say: https://opentelemetry.io/docs/specs/semconv/

const [unset, error] = [0, 2];
const ours = 'contact-phone-subgraph';

type Stage = Awaited<ReturnType<typeof openStage>>;

/** What the spans are after these requests. */
async function spansAfter(env: Record<string, string>, requests: (stage: Stage) => Promise<unknown>) {
  await using collector = await openCollector();
  await using stage = await openStage({ ...collector.env, ...env });
  await requests(stage);
  await stage.closeServer();
  return collector.spansOf(ours).map((span: Span) => [span.name, span.status.code, attributesOf(span)]);
}

test('shows a resend as the semantic conventions say', async () => {
  await using collector = await openCollector();
  await using stage = await openStage(collector.env);
  await stage.resend({ mode: 'RETURN_CODE' });
  await stage.closeServer();

  const { hostname, port } = new URL(stage.zitadel.url);
  const [internal, server, client] = [1, 2, 3];
  expect(collector.spansOf(ours).map((span) => [span.name, span.kind, span.status.code, attributesOf(span)])).toEqual([
    [
      'zitadel.user.v2.UserService/ResendPhoneCode',
      client,
      unset,
      {
        'rpc.system.name': zitadelApi === 'connect' ? 'connectrpc' : 'rest',
        'rpc.method': 'zitadel.user.v2.UserService/ResendPhoneCode',
        'server.address': hostname,
        'server.port': Number(port),
        'http.response.status_code': 200,
      },
    ],
    [
      'mutation',
      internal,
      unset,
      { 'graphql.operation.type': 'mutation', 'graphql.operation.name': 'ResendContactPhoneCode' },
    ],
    [
      'POST /graphql',
      server,
      unset,
      {
        'http.request.method': 'POST',
        'http.route': '/graphql',
        'url.path': '/graphql',
        'url.scheme': 'http',
        'http.response.status_code': 200,
      },
    ],
  ]);
  const [received] = collector.resources();
  expect(attributesOf(received?.resource)).toMatchObject({ 'service.name': ours, 'service.version': version });
  expect(received?.scopeSpans[0]).toMatchObject({ scope: { name: ours, version } });
  const [, conventions] = /schemas\/([\d.]+)$/.exec(received?.scopeSpans[0]?.schemaUrl ?? '') ?? [];
  expect(section(readFileSync('docs/operations.md', 'utf8'), 'Traces')).toContain(`version ${conventions}`);
});

test('shows no name of an operation that has none', async () => {
  const query = `mutation { resendContactPhoneCode(userId: "${unverified}", mode: RETURN_CODE) { details { sequence } } }`;

  const spans = await spansAfter({}, ({ graphql }) => post(graphql, { query }, manager));

  expect(spans[1]).toEqual(['mutation', unset, { 'graphql.operation.type': 'mutation' }]);
});

test('shows no status of a call that got no answer', async () => {
  const spans = await spansAfter({ ZITADEL_URL: 'http://[::1]:1' }, (stage) => stage.resend({ mode: 'RETURN_CODE' }));

  expect(spans[0]).toEqual([
    'zitadel.user.v2.UserService/ResendPhoneCode',
    error,
    {
      'rpc.system.name': zitadelApi === 'connect' ? 'connectrpc' : 'rest',
      'rpc.method': 'zitadel.user.v2.UserService/ResendPhoneCode',
      'server.address': '::1',
      'server.port': 1,
      'error.type': 'UPSTREAM_UNAVAILABLE',
    },
  ]);
});

test.for([
  ['GET', '/query?token=S3CR3T', 'GET', '/query'],
  ['GET', `/users/${unverified}`, 'GET', 'other'],
  ['PURGE', '/+41791234567', '_OTHER', 'other'],
] as const)('shows of %s %s only what is safe', async ([method, path, shownMethod, shownPath]) => {
  const spans = await spansAfter({}, async ({ url }) => {
    const [response] = (await once(request(url + path, { method }).end(), 'response')) as [IncomingMessage];
    response.resume();
  });

  expect(spans).toEqual([
    [
      method === shownMethod ? method : 'HTTP',
      unset,
      {
        'http.request.method': shownMethod,
        'url.path': shownPath,
        'url.scheme': 'http',
        'http.response.status_code': 404,
        'error.type': 'BAD_REQUEST',
      },
    ],
  ]);
});
