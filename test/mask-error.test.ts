import { ApolloServer, HeaderMap, type ApolloServerPlugin } from '@apollo/server';
import { GraphQLError, Source, type GraphQLFormattedError } from 'graphql';
import { afterEach, expect, test, vi } from 'vitest';
import { readConfig } from '../src/config/config.js';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { createApollo } from '../src/graphql/apollo.js';
import { formatError, maskError } from '../src/graphql/mask-error.js';
import { createSchema } from '../src/graphql/schema.js';
import { createLogger } from '../src/logger.js';
import { startServer } from '../src/server.js';
import { gate } from './support/gate.js';
import { shareStage } from './support/shared-stage.js';
import { leaveForLogTest, openStage, post, resend, zitadelApi } from './support/stage.js';

/** For requests that are refused. */
const shared = shareStage();

const mask = (error: GraphQLError, kind?: 'query' | 'mutation'): GraphQLFormattedError =>
  formatError(error, maskError(error, kind));

const internal = 'Something went wrong in this server. The change may have been made anyway.';

test('reveals nothing about an unexpected fault', () => {
  const fault = new TypeError('x is not a function', { cause: new RangeError('deeper') });

  const at = (...path: string[]) => new GraphQLError(fault.message, { path, originalError: fault });

  expect(mask(at('contactPhone'), 'query')).toEqual({
    message: 'Something went wrong in this server.',
    path: ['contactPhone'],
    extensions: { code: 'INTERNAL_SERVER_ERROR' },
  });
  expect(mask(at('resendContactPhoneCode'), 'mutation')).toEqual({
    message: internal,
    path: ['resendContactPhoneCode'],
    extensions: { code: 'INTERNAL_SERVER_ERROR', outcome: 'UNKNOWN' },
  });
  expect(mask(at('resendContactPhoneCode', 'user'), 'mutation')).toEqual({
    message: 'Something went wrong in this server. The change itself was made.',
    path: ['resendContactPhoneCode', 'user'],
    extensions: { code: 'INTERNAL_SERVER_ERROR', outcome: 'DONE' },
  });
  expect(mask(new GraphQLError(fault.message, { originalError: fault }))).toEqual({
    message: internal,
    extensions: { code: 'INTERNAL_SERVER_ERROR', outcome: 'UNKNOWN' },
  });
});

test.for([
  ['GRAPHQL_PARSE_FAILED', 'The document has a syntax error.'],
  ['GRAPHQL_VALIDATION_FAILED', 'The document is not valid.'],
  ['BAD_USER_INPUT', 'The variables are not valid.'],
  ['OPERATION_RESOLUTION_FAILURE', 'The operation cannot be run.'],
  ['BAD_REQUEST', 'The request is not valid.'],
] as const)('replaces unknown sentences of %s with a generic message', ([code, message]) => {
  for (const sentence of [
    'A sentence of the next graphql-js, found "S3CR3T".',
    'Cannot query field "S3CR3T 1" on type "Query".',
    'Cannot query field "a" on type "Query". S3CR3T',
    'Syntax Error: S3CR3T',
    `Unknown type "${'S3CR3T'.repeat(100)}".`,
  ]) {
    const error = new GraphQLError(sentence, { extensions: { code, secret: 'S3CR3T' } });
    const reason = code === 'BAD_USER_INPUT' && { reason: 'VARIABLES_INVALID' };
    expect(mask(error)).toEqual({ message, extensions: { code, ...reason, outcome: 'NOT_DONE' } });
  }
});

test('masks a message of a million characters, whatever they are', () => {
  const million = 1_000_000;
  for (const part of ['Did you mean ', 'Syntax Error: Name "', '"', ' ', 'a', '.', 'via "', '\n']) {
    const sentence = part.repeat(million / part.length);
    for (const message of [sentence, `Unknown type "${sentence}`, `Unknown type "a". Did you mean ${sentence}`]) {
      const { message: masked } = mask(new GraphQLError(message, { extensions: { code: 'BAD_REQUEST' } }));
      expect(['The request is not valid.', 'Syntax Error: Unexpected Name.', 'Unknown type "a".']).toContain(masked);
    }
  }
});

test('reports only a few of the conflicting locations', () => {
  const extensions = { code: 'GRAPHQL_VALIDATION_FAILED' };
  const source = new Source('a\n'.repeat(1_000));
  const positions = Array.from({ length: 1_000 }, (_, line) => 2 * line);

  expect(mask(new GraphQLError('Fields "a" conflict.', { source, positions, extensions })).locations).toEqual(
    Array.from({ length: 10 }, (_, line) => ({ line: line + 1, column: 1 })),
  );
});

test.for([
  [
    'an operation name that does not exist',
    { query: 'query A { __typename } query B { __typename }', operationName: 'LONG' },
  ],
  ['a field', { query: '{ LONG }' }],
  ['a type', { query: 'query ($v: LONG) { __typename @skip(if: $v) }' }],
  ['a variable', { query: '{ __typename @skip(if: $LONG) }' }],
  ['an enum value', { query: 'mutation { resendContactPhoneCode(userId: "1", mode: LONG) { user { id } } }' }],
  ['a string', { query: 'mutation { resendContactPhoneCode(userId: "1", mode: "LONG") { user { id } } }' }],
  ['a misplaced name', { query: '{ __typename } LONG' }],
  ['a value of a variable', { query: 'query ($v: Boolean!) { __typename @skip(if: $v) }', variables: { v: 'LONG' } }],
] as const)('does not echo %s that is as long as the body', async ([, body]) => {
  const stage = shared();

  for (const part of ['Did you mean ', 'Didyoumean', 'a']) {
    for (const length of [90_000, 1_000_000]) {
      const long = part.repeat(length / part.length);
      const answer = await post(stage.graphql, JSON.stringify(body).replace('LONG', long));

      expect(answer.status).toBe(400);
      expect(answer.text.length).toBeLessThan(2_000);
      expect(answer.text).not.toContain(part.repeat(20));
    }
  }
});

test('answers a fault of its own with HTTP 200 and a bare code', async () => {
  await using zitadel = await startEmbeddedZitadel();
  const lines: string[] = [];
  const upstream = { ZITADEL_URL: zitadel.url, ZITADEL_API: zitadelApi };
  const config = readConfig({ ...upstream, HOST: '127.0.0.1', PORT: '0' });
  await using server = await startServer(config, { logTo: { write: (line) => void lines.push(line) } });
  const fault = Object.assign(new TypeError('a fault in the middle of a call', { cause: new RangeError('deeper') }), {
    headers: { authorization: 'Bearer S3CR3T' },
    body: 'S3CR3T',
  });
  const reading = gate();
  zitadel.misbehave({ hold: reading.opened });

  const inFlight = resend(server.url);
  await zitadel.called(1);
  // It hits the write, after the read.
  Object.defineProperty(config.zitadel, 'instanceHost', {
    configurable: true,
    get() {
      throw fault;
    },
  });
  reading.open();
  const answer = await inFlight;
  Object.defineProperty(config.zitadel, 'instanceHost', { value: undefined });
  const next = await resend(server.url);

  expect(answer).toMatchObject({ status: 200, data: { resendContactPhoneCode: null } });
  expect(answer.errors?.map(({ message, extensions }) => ({ message, extensions }))).toEqual([
    { message: internal, extensions: { code: 'INTERNAL_SERVER_ERROR', outcome: 'UNKNOWN' } },
  ]);
  // The fault might have happened after an SMS was sent.
  expect(next.errors).toMatchObject([
    { extensions: { code: 'RATE_LIMITED', reason: 'SMS_TO_USER', outcome: 'NOT_DONE' } },
  ]);
  expect(JSON.parse(lines.find((line) => line.includes('"level":"error"')) ?? '')).toMatchObject({
    code: 'INTERNAL_SERVER_ERROR',
    err: {
      type: 'TypeError',
      message: 'a fault in the middle of a call',
      cause: { type: 'RangeError', message: 'deeper' },
    },
  });
  expect(lines.join('')).not.toContain('S3CR3T');
  expect(zitadel.writes).toEqual([]);
  leaveForLogTest(lines, zitadel);
});

test('answers a fault outside of the execution with HTTP 500, and logs its cause in the line of the request', async () => {
  await using zitadel = await startEmbeddedZitadel();
  const lines: string[] = [];
  const upstream = { ZITADEL_URL: zitadel.url, ZITADEL_API: zitadelApi };
  const config = readConfig({ ...upstream, HOST: '127.0.0.1', PORT: '0' });
  await using server = await startServer(config, { logTo: { write: (line) => void lines.push(line) } });
  const fault = new TypeError('a fault before the execution');
  vi.spyOn(ApolloServer.prototype, 'executeOperation').mockRejectedValue(fault);

  const { status, data, errors } = await resend(server.url);

  expect({ status, data, errors }).toEqual({
    status: 500,
    data: undefined,
    errors: [{ message: internal, extensions: { code: 'INTERNAL_SERVER_ERROR', outcome: 'UNKNOWN' } }],
  });
  const [line, ...others] = lines.filter((text) => text.includes('a fault before the execution'));
  expect(others).toEqual([]);
  expect(JSON.parse(line ?? '')).toMatchObject({
    level: 'error',
    msg: 'request',
    code: 'INTERNAL_SERVER_ERROR',
    httpStatus: 500,
    err: { type: 'TypeError', message: 'a fault before the execution' },
  });
  expect(zitadel.calls).toEqual([]);
  leaveForLogTest(lines, zitadel);
});

afterEach(() => void vi.restoreAllMocks());

/** A stage whose Apollo Server has another plugin. */
function openStageWith(plugin: ApolloServerPlugin) {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- is called with a server
  const { start } = ApolloServer.prototype;
  vi.spyOn(ApolloServer.prototype, 'start').mockImplementation(function (this: ApolloServer) {
    this.addPlugin(plugin);
    return start.call(this);
  });
  return openStage();
}

const fault = () => {
  throw new TypeError('a fault in a hook', { cause: 'Bearer S3CR3T' });
};
/** Listens to every request, or every execution. */
const whenStarted =
  <Listener>(listener: Listener) =>
  () =>
    Promise.resolve(listener);

const hooks: [string, ApolloServerPlugin, number][] = [
  ['requestDidStart', { requestDidStart: fault }, 0],
  ...['didResolveSource', 'parsingDidStart', 'validationDidStart', 'didResolveOperation', 'executionDidStart'].map(
    (hook): [string, ApolloServerPlugin, number] => [hook, { requestDidStart: whenStarted({ [hook]: fault }) }, 0],
  ),
  // The SMS was sent.
  [
    'executionDidEnd',
    { requestDidStart: whenStarted({ executionDidStart: whenStarted({ executionDidEnd: fault }) }) },
    1,
  ],
  ['willSendResponse', { requestDidStart: whenStarted({ willSendResponse: fault }) }, 1],
];

test.for(hooks)('answers and logs a fault in the hook %s as one of its own', async ([, plugin, sent]) => {
  await using stage = await openStageWith(plugin);

  const { status, data, errors } = await stage.resend();

  expect({ status, data, errors }).toEqual({
    status: 500,
    data: undefined,
    errors: [{ message: internal, extensions: { code: 'INTERNAL_SERVER_ERROR', outcome: 'UNKNOWN' } }],
  });
  expect(stage.zitadel.outbox).toHaveLength(sent);
  const lines = stage.lines.map((line) => JSON.parse(line) as { msg: string });
  expect(lines.filter((line) => 'code' in line && line.msg !== 'Call to ZITADEL')).toMatchObject([
    {
      level: 'error',
      code: 'INTERNAL_SERVER_ERROR',
      outcome: 'UNKNOWN',
      err: { type: 'TypeError', message: 'a fault in a hook' },
    },
  ]);
});

test('answers a fault in a hook of a field at the path of that field', async () => {
  const willResolveField = ({ info }: { info: { fieldName: string } }) => {
    if (info.fieldName === 'resendContactPhoneCode') fault();
  };
  await using stage = await openStageWith({
    requestDidStart: whenStarted({ executionDidStart: whenStarted({ willResolveField }) }),
  });

  expect(await stage.resend()).toMatchObject({
    status: 200,
    data: { resendContactPhoneCode: null },
    errors: [
      {
        message: internal,
        path: ['resendContactPhoneCode'],
        extensions: { code: 'INTERNAL_SERVER_ERROR', outcome: 'UNKNOWN' },
      },
    ],
  });
});

test('names the outcome even if Apollo Server fails before it has an operation', async () => {
  const { graphql } = readConfig({ ZITADEL_URL: 'https://example.com' });
  const apollo = createApollo(createSchema(), graphql, await createLogger({ level: 'silent', format: 'json' }));
  await apollo.start();

  const { status, body } = await apollo.executeHTTPGraphQLRequest({
    httpGraphQLRequest: {
      method: 'POST',
      headers: new HeaderMap([['content-type', 'application/json']]),
      search: '',
      body: {},
    },
    context: () => Promise.reject(new TypeError('S3CR3T')),
  });
  await apollo.stop();

  expect(status).toBe(500);
  expect(JSON.parse(body.kind === 'complete' ? body.string : '')).toEqual({
    errors: [{ message: internal, extensions: { code: 'INTERNAL_SERVER_ERROR', outcome: 'UNKNOWN' } }],
  });
});

test('logs what Apollo Server quotes without secrets', async () => {
  await using stage = await openStageWith({
    requestDidStart: () => Promise.reject(new Error('No "Bearer S3CR3T-T0KEN", +41791234567')),
  });

  await stage.resend();

  expect(stage.lines.join('')).toContain('Unexpected error processing request: Error: No');
  expect(stage.lines.join('')).not.toMatch(/S3CR3T|41791234567/);
});

test('does not adopt error codes from unknown errors', () => {
  for (const code of ['BAD_USER_INPUT', 'BAD_REQUEST', 'GRAPHQL_VALIDATION_FAILED', 'constructor']) {
    const thrown = new GraphQLError('from some library', { extensions: { code, secret: 1 } });
    const path = ['a'];
    const masked = { code: 'INTERNAL_SERVER_ERROR', outcome: 'UNKNOWN' };

    expect(mask(new GraphQLError('', { path, originalError: thrown }), 'mutation').extensions).toEqual(masked);
    expect(mask(new GraphQLError('', { path, extensions: { code } }), 'mutation').extensions).toEqual(masked);
  }
  for (const code of ['constructor', 'NOT_FOUND']) {
    const extensions = { code };
    expect(mask(new GraphQLError('', { extensions })).extensions).toMatchObject({ code: 'INTERNAL_SERVER_ERROR' });
  }
});

test('redacts fields that could contain a secret from every log line', async () => {
  const lines: string[] = [];
  const logger = await createLogger({ level: 'info', format: 'json' }, { write: (line) => void lines.push(line) });

  logger.info({
    authorization: 'S3CR3T',
    request: { headers: 'S3CR3T', variables: 'S3CR3T' },
    verificationCode: 'S3CR3T',
  });

  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toContain('S3CR3T');
});
