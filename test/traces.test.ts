import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { openCollector } from './support/collector.js';
import { manager, openStage, post, unverified } from './support/stage.js';

const ours = 'contact-phone-subgraph';

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
