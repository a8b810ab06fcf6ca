import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { propagation, ROOT_CONTEXT, trace } from '@opentelemetry/api';
import { afterEach, expect, test, vi } from 'vitest';
import { attributesOf, openCollector } from './support/collector.js';
import { table } from './support/markdown.js';
import { manager, openStage, post, unverified } from './support/stage.js';
import { until } from './support/until.js';

const ours = 'contact-phone-subgraph';
const rpc = (method: string) => `zitadel.user.v2.UserService/${method}`;
const page = readFileSync('docs/operations.md', 'utf8');

type Collector = Awaited<ReturnType<typeof openCollector>>;
type Stage = Awaited<ReturnType<typeof openStage>>;

afterEach(() => void vi.unstubAllEnvs());

/** What the log says about traces. */
const logged = ({ lines }: Stage) =>
  lines
    .map((line) => JSON.parse(line) as { level: number; msg: string })
    .filter(({ msg }) => /OTEL_|OpenTelemetry|[Tt]races/.test(msg));

test('starts a trace if there is none, and shows what went wrong', async () => {
  await using collector = await openCollector();
  const stage = await openStage({ ...collector.env, OTEL_EXPORTER_OTLP_ENDPOINT: `${collector.url}/` });
  stage.zitadel.misbehave({ answer: { status: 502 } });

  await stage.run('contact-phone', { userId: unverified });
  await stage.resend({ userId: '1', mode: 'RETURN_CODE' });
  await post(stage.graphql, '{');
  await post(stage.graphql, { query: `query ${'N'.repeat(100)} { __typename }` });
  await stage[Symbol.asyncDispose]();

  const error = 2;
  const spans = collector.spansOf(ours);
  const seen = spans.map((span) => {
    const { 'error.type': errorType, 'graphql.operation.name': operation } = attributesOf(span);
    return [span.name, span.status.code, errorType, operation];
  });
  expect(seen).toEqual([
    [rpc('GetUserByID'), error, 'UPSTREAM_UNAVAILABLE', undefined],
    ['query', error, 'UPSTREAM_UNAVAILABLE', 'ContactPhone'],
    ['POST /graphql', 0, undefined, undefined],
    [rpc('ResendPhoneCode'), error, 'NOT_FOUND', undefined],
    // Machines get the same answer, so the user is read.
    [rpc('GetUserByID'), error, 'NOT_FOUND', undefined],
    ['mutation', 0, 'NOT_FOUND', 'ResendContactPhoneCode'],
    ['POST /graphql', 0, undefined, undefined],
    ['POST /graphql', 0, 'BAD_REQUEST', undefined],
    ['query', 0, undefined, 'N'.repeat(100)],
    ['POST /graphql', 0, undefined, undefined],
  ]);
  expect(spans.filter(({ parentSpanId }) => parentSpanId === undefined).map(({ name }) => name)).toEqual(
    Array(4).fill('POST /graphql'),
  );
});

test("respects the router's decision not to sample a trace, and passes it on", async () => {
  await using collector = await openCollector();
  const stage = await openStage(collector.env);

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

test('registers no tracer and no propagator for the whole process', async () => {
  await using collector = await openCollector();
  await using stage = await openStage(collector.env);

  await stage.resend();

  const span = trace.getTracer('another package').startSpan('of another package');
  expect(span.isRecording()).toBe(false);
  const headers = {};
  propagation.inject(trace.setSpan(ROOT_CONTEXT, span), headers);
  expect([propagation.fields(), headers]).toEqual([[], {}]);
});

test("forwards the router's trace unchanged if tracing is off", async () => {
  await using stage = await openStage();
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;

  await stage.resend({}, { ...manager, traceparent, tracestate: 'x=1' });

  const forwarded = { headers: { traceparent, tracestate: 'x=1' } };
  expect(stage.zitadel.calls).toMatchObject([forwarded, forwarded]);
});

const [json, protobuf] = ['application/json', 'application/x-protobuf'];

test.for([
  [{}, protobuf],
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }, json],
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'HTTP/JSON' }, json],
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/protobuf' }, protobuf],
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/protobuf' }, protobuf],
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc', OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'http/json' }, json],
  [{ OTEL_SDK_DISABLED: 'false', OTEL_TRACES_EXPORTER: 'OTLP' }, protobuf],
  [{ OTEL_SDK_DISABLED: '', OTEL_TRACES_EXPORTER: '', OTEL_EXPORTER_OTLP_PROTOCOL: ' ' }, protobuf],
] as const)('%o sends traces as %s', async ([env, contentType]) => {
  await using collector = await openCollector();
  const stage = await openStage({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env });

  await stage.resend();
  await stage[Symbol.asyncDispose]();

  expect(collector.exports).toMatchObject([{ path: '/v1/traces', headers: { 'content-type': contentType } }]);
  const [, traceId = ''] = stage.zitadel.calls[0]?.headers['traceparent']?.toString().split('-') ?? [];
  const sent = collector.exports[0]?.body;
  expect(sent?.includes(contentType === json ? traceId : Buffer.from(traceId, 'hex'))).toBe(true);
  expect(logged(stage)).toEqual([]);
});

test.for([
  ['OTEL_EXPORTER_OTLP_ENDPOINT', '/otlp//', '/otlp/v1/traces'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', '/?key=1', '/v1/traces?key=1'],
  ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', '', '/'],
  ['OTEL_EXPORTER_OTLP_TRACES_ENDPOINT', '/otlp/', '/otlp/'],
] as const)('%s=http://…%s sends traces to %s', async ([name, given, path]) => {
  await using collector = await openCollector();
  const stage = await openStage({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', [name]: collector.url + given });

  await stage.resend();
  await stage[Symbol.asyncDispose]();

  expect(collector.exports.map((one) => one.path)).toEqual([path]);
});

const mustBeUrl = 'must be an http or https URL, such as http://localhost:4318: no traces are sent.';
const mustBeProtocol = 'must be http/protobuf or http/json: no traces are sent.';

test.for([
  [{ OTEL_SDK_DISABLED: 'true' }, []],
  [{ OTEL_SDK_DISABLED: 'True', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, []],
  [{ OTEL_TRACES_EXPORTER: 'none' }, []],
  [{ OTEL_TRACES_EXPORTER: 'zipkin' }, ['OTEL_TRACES_EXPORTER must be otlp or none: no traces are sent.']],
  [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, [`OTEL_EXPORTER_OTLP_PROTOCOL ${mustBeProtocol}`]],
  [{ OTEL_EXPORTER_OTLP_TRACES_PROTOCOL: 'grpc' }, [`OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ${mustBeProtocol}`]],
  [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'user:S3CR3T@localhost:4318' }, [`OTEL_EXPORTER_OTLP_ENDPOINT ${mustBeUrl}`]],
  [
    { OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'grpc://S3CR3T@localhost:4317', OTEL_SDK_DISABLED: '1' },
    ['OTEL_SDK_DISABLED must be true or false: it counts as false.', `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT ${mustBeUrl}`],
  ],
] as const)('starts without traces, and logs what to do: %o', async ([env, warnings]) => {
  await using collector = await openCollector();
  const stage = await openStage({ OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, ...env });

  expect((await stage.resend()).errors).toBeUndefined();
  await stage[Symbol.asyncDispose]();

  expect(collector.exports).toEqual([]);
  expect(logged(stage)).toMatchObject(warnings.map((msg) => ({ level: 'warn', msg })));
  expect(stage.lines.join('')).not.toContain('S3CR3T');
});

/** What each variable of OpenTelemetry's SDK does to the traces of one resend. */
const ofTheSdk: Record<string, [env: Record<string, string>, check: (collector: Collector) => unknown]> = {
  OTEL_SERVICE_NAME: [{ OTEL_SERVICE_NAME: 'phones' }, ({ spansOf }) => spansOf('phones').length > 0],
  OTEL_RESOURCE_ATTRIBUTES: [
    { OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment.name=test' },
    ({ resources }) => attributesOf(resources()[0]?.resource)['deployment.environment.name'] === 'test',
  ],
  OTEL_TRACES_SAMPLER: [{ OTEL_TRACES_SAMPLER: 'always_off' }, ({ exports }) => exports.length === 0],
  OTEL_TRACES_SAMPLER_ARG: [
    { OTEL_TRACES_SAMPLER: 'parentbased_traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' },
    ({ exports }) => exports.length === 0,
  ],
  OTEL_EXPORTER_OTLP_HEADERS: [
    { OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20key' },
    ({ exports }) => exports[0]?.headers.authorization === 'Bearer key',
  ],
  OTEL_EXPORTER_OTLP_COMPRESSION: [
    { OTEL_EXPORTER_OTLP_COMPRESSION: 'gzip' },
    ({ exports }) => exports[0]?.headers['content-encoding'] === 'gzip',
  ],
  OTEL_BSP_MAX_EXPORT_BATCH_SIZE: [
    { OTEL_BSP_MAX_EXPORT_BATCH_SIZE: '1' },
    ({ exports, spansOf }) => exports.length > 1 && exports.length === spansOf(ours).length,
  ],
};

test.for(Object.entries(ofTheSdk))("obeys the SDK's variable %s", async ([, [env, check]]) => {
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  await using collector = await openCollector();
  const stage = await openStage(collector.env);

  await stage.resend();
  await stage[Symbol.asyncDispose]();

  expect(check(collector)).toBe(true);
  expect(logged(stage)).toEqual([]);
});

test('the documentation lists the variables that are tested here, and no others', () => {
  const listed = table(page, 'Traces').flatMap(([names = '']) => names.split(', '));
  const ours = [...readFileSync('src/config/trace-variables.ts', 'utf8').matchAll(/'(OTEL_\w+)'/g)].map(
    ([, name]) => name,
  );
  const others = ['OTEL_BSP_SCHEDULE_DELAY', 'OTEL_EXPORTER_OTLP_TIMEOUT'];

  expect(listed.toSorted()).toEqual([...new Set([...ours, ...Object.keys(ofTheSdk), ...others])].toSorted());
});

test('logs what is wrong with a variable of the SDK, without its value', async () => {
  vi.stubEnv('OTEL_TRACES_SAMPLER', `"S3CR3T's"`);
  vi.stubEnv('OTEL_BSP_SCHEDULE_DELAY', 'S3CR3T');
  await using stage = await openStage({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });

  const warnings = logged(stage).map((line) => 'warning' in line && line.warning);
  expect(warnings).toHaveLength(2);
  expect(warnings.join()).toMatch(/OTEL_BSP_SCHEDULE_DELAY.*OTEL_TRACES_SAMPLER/);
  expect(stage.lines.join('')).not.toContain('S3CR3T');
});

test('logs once that the collector refuses spans, and once that it accepts them again', async () => {
  vi.stubEnv('OTEL_BSP_SCHEDULE_DELAY', '1');
  vi.stubEnv('OTEL_EXPORTER_OTLP_HEADERS', 'authorization=S3CR3T');
  await using collector = await openCollector();
  collector.answerWith(({ headers }) => ({ status: 401, body: `not allowed: ${headers.authorization}` }));
  await using stage = await openStage(collector.env);

  for (let failed = 1; failed <= 10; failed += 1) {
    await stage.resend();
    await until(() => Promise.resolve(collector.exports.length >= failed));
  }
  collector.answerWith(() => ({ status: 200, body: '{}' }));
  await stage.resend();
  await until(() => Promise.resolve(logged(stage).length > 1));
  await stage.closeServer();

  expect(logged(stage)).toMatchObject([
    { level: 'warn', msg: 'The OpenTelemetry collector is down: spans are lost', reason: 'HTTP 401' },
    { level: 'info', msg: 'The OpenTelemetry collector is up' },
  ]);
  expect(stage.lines.join('')).not.toContain('S3CR3T');
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

test('waits for the collector as long as OTEL_EXPORTER_OTLP_TIMEOUT says', async () => {
  vi.stubEnv('OTEL_EXPORTER_OTLP_TIMEOUT', '1');
  vi.stubEnv('OTEL_BSP_SCHEDULE_DELAY', '1');
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  await using stage = await openStage({ OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}` });

  await stage.resend();
  await until(() => Promise.resolve(logged(stage).length > 0));
  silent.close();

  expect(logged(stage)).toMatchObject([
    { msg: 'The OpenTelemetry collector is down: spans are lost', reason: 'Request timed out' },
  ]);
});

test('keeps working without a collector, and logs a warning', async () => {
  const stage = await openStage({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1' });

  const { errors } = await stage.resend();
  await stage[Symbol.asyncDispose]();

  expect(errors).toBeUndefined();
  expect(stage.lines.join('')).toContain('The last traces did not reach the collector');
});
