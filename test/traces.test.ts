import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { RemoteGraphQLDataSource } from '@apollo/gateway';
import { context, propagation } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { expect, test } from 'vitest';
import { tokens } from '../src/embedded-zitadel/population.js';
import { openAccounts, supergraphSdl } from './support/supergraph.js';
import { openCollector } from './support/collector.js';
import { openApolloGateway, secret } from './support/gateways.js';
import { openProduction } from './support/production.js';
import { manager, openStage, post, unverified } from './support/stage.js';

const ours = 'contact-phone-subgraph';

/** The data source of a gateway with instrumented calls. */
class TracedDataSource extends RemoteGraphQLDataSource {
  override fetcher: RemoteGraphQLDataSource['fetcher'] = (url, init) => {
    const headers = { ...init?.headers };
    propagation.inject(context.active(), headers);
    return fetch(url, { ...init, headers } as RequestInit);
  };
}

test('shows one tree from the gateway to ZITADEL, without any variable, header or body', async () => {
  await using collector = await openCollector();
  const provider = new NodeTracerProvider({
    resource: resourceFromAttributes({ 'service.name': 'gateway' }),
    spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter({ url: `${collector.url}/v1/traces` }))],
  });
  provider.register();
  await using production = await openProduction({
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_SERVICE_NAME: 'phones',
    ROUTER_SECRETS: secret,
  });
  const { zitadel, server } = production;
  await using accounts = await openAccounts();
  await using gateway = await openApolloGateway(
    supergraphSdl({ 'contact-phone': `${production.url}/graphql`, accounts: accounts.url }),
    TracedDataSource,
  );

  const query = `mutation Again($userId: ID!) {
    resendContactPhoneCode(userId: $userId) { verificationCode user { contactPhone { number } } }
  }`;
  const { errors } = await post(gateway.url, { query, variables: { userId: unverified } }, manager);
  server.kill('SIGTERM');
  expect(await server.exited).toBe(0);
  await provider.shutdown();

  expect(errors).toBeUndefined();
  const [readBefore, resend, readAfter, operation, http, ...others] = collector.spansOf('phones');
  expect(others).toEqual([]);
  const fetched = collector.spansOf('gateway').find(({ name }) => name === 'gateway.fetch');
  expect(fetched).toBeDefined();
  const tree = [http, operation, readBefore, resend, readAfter].map(
    (span) => span && [span.name, span.kind, span.parentSpanId],
  );
  const [server_, internal, client] = [2, 1, 3];
  expect(tree).toEqual([
    ['POST /graphql', server_, fetched?.spanId],
    ['mutation Again__contact_phone__0', internal, http?.spanId],
    ['GetUserByID', client, operation?.spanId],
    ['ResendPhoneCode', client, operation?.spanId],
    ['GetUserByID', client, operation?.spanId],
  ]);
  expect(new Set([fetched, http, operation, readBefore, resend, readAfter].map((span) => span?.traceId)).size).toBe(1);
  expect(zitadel.calls.map(({ headers }) => headers['traceparent'])).toEqual(
    [readBefore, resend, readAfter].map((span) => `00-${span?.traceId}-${span?.spanId}-01`),
  );
  expect([http, operation, resend].map((span) => collector.attributesOf(span))).toEqual([
    { 'http.request.method': 'POST', 'http.route': '/graphql', 'http.response.status_code': 200 },
    { 'graphql.operation.type': 'mutation', 'graphql.operation.name': 'Again__contact_phone__0' },
    {
      'rpc.service': 'zitadel.user.v2.UserService',
      'rpc.method': 'ResendPhoneCode',
      'http.response.status_code': 200,
    },
  ]);
  expect([...collector.paths]).toEqual(['/v1/traces']);
  const secrets = [unverified, tokens.manager.token, '41791234567', ...zitadel.codes, secret];
  for (const span of collector.spansOf('phones')) {
    for (const text of secrets) expect(JSON.stringify(span)).not.toContain(text);
  }
});

test('starts a trace if there is none, and shows what went wrong', async () => {
  await using collector = await openCollector();
  const stage = await openStage({ OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` });
  stage.zitadel.misbehave({ answer: { status: 502 } });

  await stage.run('contact-phone', { userId: unverified });
  await stage.resend({ userId: '1', mode: 'RETURN_CODE' });
  await post(stage.graphql, '{');
  await post(stage.graphql, { query: `query ${'N'.repeat(100)} { __typename }` });
  await stage[Symbol.asyncDispose]();

  const error = 2;
  const spans = collector.spansOf(ours);
  expect(spans.map((span) => [span.name, span.status.code, collector.attributesOf(span)['error.type']])).toEqual([
    ['GetUserByID', error, 'UPSTREAM_UNAVAILABLE'],
    ['query ContactPhone', error, 'UPSTREAM_UNAVAILABLE'],
    ['POST /graphql', 0, undefined],
    ['ResendPhoneCode', error, 'NOT_FOUND'],
    // Machines get the same answer, so the user is read.
    ['GetUserByID', error, 'NOT_FOUND'],
    ['mutation ResendContactPhoneCode', 0, 'NOT_FOUND'],
    ['POST /graphql', 0, undefined],
    ['POST /graphql', 0, 'BAD_REQUEST'],
    [`query ${'N'.repeat(100)}`, 0, undefined],
    ['POST /graphql', 0, undefined],
  ]);
  expect(spans.filter(({ parentSpanId }) => parentSpanId === undefined).map(({ name }) => name)).toEqual(
    Array(4).fill('POST /graphql'),
  );
});

test("respects the router's decision not to sample a trace, and passes it on", async () => {
  await using collector = await openCollector();
  const stage = await openStage({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url });

  const mode = 'RETURN_CODE';
  await stage.resend(
    { mode },
    { ...manager, traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-00`, tracestate: 'x=1' },
  );
  await stage.resend({ mode }, { ...manager, traceparent: 'nonsense', tracestate: 'x=1', baggage: 'number=1' });
  await stage[Symbol.asyncDispose]();

  const [first, second] = stage.zitadel.calls.map(({ headers }) => headers);
  expect(first).toMatchObject({
    traceparent: expect.stringMatching(/^00-a{32}-(?!b{16})[\da-f]{16}-00$/) as string,
    tracestate: 'x=1',
  });
  expect(second?.['traceparent']).toMatch(/^00-[\da-f]{32}-[\da-f]{16}-01$/);
  expect(second).not.toHaveProperty('tracestate');
  expect(second).not.toHaveProperty('baggage');
  expect(collector.spansOf(ours)).toHaveLength(3);
});

test("forwards the router's trace unchanged if tracing is off", async () => {
  await using stage = await openStage();
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

  await stage.resend({}, { ...manager, traceparent, tracestate: 'x=1' });

  const forwarded = { headers: { traceparent, tracestate: 'x=1' } };
  expect(stage.zitadel.calls).toMatchObject([forwarded, forwarded]);
});

test('is not affected by a collector that does not answer', async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const stage = await openStage({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
    SHUTDOWN_TIMEOUT_MS: '1500',
  });

  await stage.resend();

  await expect(stage.closeServer()).resolves.toBeUndefined();
  await stage[Symbol.asyncDispose]();
  silent.close();
});

test('keeps working without a collector, and logs a warning', async () => {
  const stage = await openStage({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });

  const { errors } = await stage.resend();
  await stage[Symbol.asyncDispose]();

  expect(errors).toBeUndefined();
  expect(stage.lines.join('')).toContain('The last traces did not reach the collector');
});
