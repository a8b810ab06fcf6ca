import { expect, test } from 'vitest';
import { openCollector, type Span } from './support/collector.js';
import { manager, openStage, post, unverified } from './support/stage.js';

// What the spans say of requests that are not like most.

const [unset, error] = [0, 2];

/** What the spans are after these requests. */
async function spansAfter(
  env: Record<string, string>,
  requests: (stage: Awaited<ReturnType<typeof openStage>>) => Promise<unknown>,
) {
  await using collector = await openCollector();
  await using stage = await openStage({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env });
  await requests(stage);
  await stage.closeServer();
  return collector
    .spansOf('contact-phone-subgraph')
    .map((span: Span) => [span.name, span.status.code, collector.attributesOf(span)]);
}

test('names an operation without a name by its first field', async () => {
  const query = `mutation { resendContactPhoneCode(userId: "${unverified}", mode: RETURN_CODE) { details { sequence } } }`;

  const spans = await spansAfter({}, ({ graphql }) => post(graphql, { query }, manager));

  expect(spans[1]).toEqual(['mutation resendContactPhoneCode', unset, { 'graphql.operation.type': 'mutation' }]);
});

test('shows no status of a call that got no answer', async () => {
  const spans = await spansAfter({ ZITADEL_URL: 'http://127.0.0.1:1' }, (stage) =>
    stage.resend({ mode: 'RETURN_CODE' }),
  );

  expect(spans[0]).toEqual([
    'ResendPhoneCode',
    error,
    {
      'rpc.service': 'zitadel.user.v2.UserService',
      'rpc.method': 'ResendPhoneCode',
      'error.type': 'UPSTREAM_UNAVAILABLE',
    },
  ]);
});

test('shows a request to no route by its method alone', async () => {
  const spans = await spansAfter({}, ({ url }) => fetch(`${url}/users/${unverified}`));

  expect(spans).toEqual([
    ['GET', unset, { 'http.request.method': 'GET', 'http.response.status_code': 404, 'error.type': 'BAD_REQUEST' }],
  ]);
});
