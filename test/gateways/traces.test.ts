import { RemoteGraphQLDataSource } from '@apollo/gateway';
import { context, propagation } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { expect, test } from 'vitest';
import { tokens } from '../../src/embedded-zitadel/population.js';
import { attributesOf, openCollector } from '../support/collector.js';
import { openProduction } from '../support/production.js';
import { manager, post, unverified } from '../support/stage.js';
import { openApolloGateway, secret } from './gateways.js';
import { openAccounts, supergraphSdl } from './supergraph.js';

const rpc = (method: string) => `zitadel.user.v2.UserService/${method}`;

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
    ...collector.env,
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
    ['mutation', internal, http?.spanId],
    [rpc('GetUserByID'), client, operation?.spanId],
    [rpc('ResendPhoneCode'), client, operation?.spanId],
    [rpc('GetUserByID'), client, operation?.spanId],
  ]);
  expect(new Set([fetched, http, operation, readBefore, resend, readAfter].map((span) => span?.traceId)).size).toBe(1);
  expect(zitadel.calls.map(({ headers }) => headers['traceparent'])).toEqual(
    [readBefore, resend, readAfter].map((span) => `00-${span?.traceId}-${span?.spanId}-01`),
  );
  expect(attributesOf(operation)).toEqual({
    'graphql.operation.type': 'mutation',
    'graphql.operation.name': 'Again__contact_phone__0',
  });
  const secrets = [unverified, tokens.manager.token, '41791234567', ...zitadel.codes, secret];
  for (const span of collector.spansOf('phones')) {
    for (const text of secrets) expect(JSON.stringify(span)).not.toContain(text);
  }
});
