import type { GraphQLRequestContext } from '@apollo/server';
import { GraphQLError, type GraphQLFormattedError } from 'graphql';
import { expect, test } from 'vitest';
import { readConfig } from '../src/config.js';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { createLogger } from '../src/logger.js';
import { maskError } from '../src/graphql/mask-error.js';
import { recordOperations } from '../src/telemetry/record-operations.js';
import { createRequestLog } from '../src/telemetry/request-log.js';
import { RequestRecord } from '../src/telemetry/request-record.js';
import { startServer } from '../src/server.js';
import { leaveForLogTest, openStage, post, resend } from './support/stage.js';

const mask = (error: GraphQLError): GraphQLFormattedError => maskError(error.toJSON(), error);

test('reveals nothing about an unexpected fault', () => {
  const fault = new TypeError('x is not a function', { cause: new RangeError('deeper') });

  const formatted = mask(new GraphQLError(fault.message, { path: ['resendContactPhoneCode'], originalError: fault }));

  expect(formatted).toEqual({
    message: 'Something went wrong in this server.',
    path: ['resendContactPhoneCode'],
    extensions: { code: 'INTERNAL_SERVER_ERROR' },
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
    expect(mask(error)).toEqual({ message, extensions: { code } });
  }
});

test('masks a message of any length and kind as fast as a short one', () => {
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
  const locations = Array.from({ length: 1_000 }, (_, line) => ({ line, column: 1 }));
  const error = new GraphQLError('Fields "a" conflict.', { extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } });

  expect(maskError({ ...error.toJSON(), locations }, error).locations).toEqual(locations.slice(0, 10));
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
] as const)('does not echo %s as long as the body', async ([, body]) => {
  await using stage = await openStage();

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

test('answers HTTP 200 with a bare code when a fault of its own comes up', async () => {
  await using zitadel = await startEmbeddedZitadel();
  const lines: string[] = [];
  const config = readConfig({ ZITADEL_URL: zitadel.url, HOST: '127.0.0.1', PORT: '0' });
  await using server = await startServer(config, { logTo: { write: (line) => void lines.push(line) } });
  const fault = Object.assign(new TypeError('a fault in the middle of a call', { cause: new RangeError('deeper') }), {
    headers: { authorization: 'Bearer S3CR3T' },
    body: 'S3CR3T',
  });
  Object.defineProperty(config.zitadel, 'instanceHost', {
    get() {
      throw fault;
    },
  });

  const answer = await resend(server.url);
  const next = await resend(server.url);

  expect(answer).toMatchObject({ status: 200, data: { resendContactPhoneCode: null } });
  expect(answer.errors?.map(({ message, extensions }) => ({ message, extensions }))).toEqual([
    { message: 'Something went wrong in this server.', extensions: { code: 'INTERNAL_SERVER_ERROR' } },
  ]);
  // The fault might have happened after an SMS was sent.
  expect(next.errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);
  expect(JSON.parse(lines.find((line) => line.includes('"level":50')) ?? '')).toMatchObject({
    code: 'INTERNAL_SERVER_ERROR',
    err: {
      type: 'TypeError',
      message: 'a fault in the middle of a call',
      cause: { type: 'RangeError', message: 'deeper' },
    },
  });
  expect(lines.join('')).not.toContain('S3CR3T');
  expect(zitadel.calls).toEqual([]);
  leaveForLogTest(lines, zitadel);
});

test('answers a fault outside of the execution with HTTP 500, and logs its cause in the line of the request', async () => {
  await using zitadel = await startEmbeddedZitadel();
  const lines: string[] = [];
  const config = readConfig({ ZITADEL_URL: zitadel.url, HOST: '127.0.0.1', PORT: '0' });
  await using server = await startServer(config, { logTo: { write: (line) => void lines.push(line) } });
  Object.defineProperty(config.sms, 'countries', {
    get() {
      throw new TypeError('a fault before the execution');
    },
  });

  const { status, data, errors } = await resend(server.url);

  expect({ status, data, errors }).toEqual({
    status: 500,
    data: undefined,
    errors: [{ message: 'Something went wrong in this server.', extensions: { code: 'INTERNAL_SERVER_ERROR' } }],
  });
  const [line, ...others] = lines.filter((text) => text.includes('a fault before the execution'));
  expect(others).toEqual([]);
  expect(JSON.parse(line ?? '')).toMatchObject({
    level: 50,
    msg: 'request',
    code: 'INTERNAL_SERVER_ERROR',
    httpStatus: 500,
    err: { type: 'TypeError', message: 'a fault before the execution' },
  });
  expect(zitadel.calls).toEqual([]);
  leaveForLogTest(lines, zitadel);
});

test('logs a fault of Apollo Server itself with its cause', async () => {
  const record = new RequestRecord('1', undefined);
  const lines: string[] = [];
  const requestContext = { contextValue: { record } } as GraphQLRequestContext<{ record: RequestRecord }>;

  await recordOperations.unexpectedErrorProcessingRequest?.({ requestContext, error: new TypeError('a fault') });
  const logger = await createLogger({ level: 'info', format: 'json' }, { write: (line) => void lines.push(line) });
  createRequestLog(logger)(record);

  expect(JSON.parse(lines.join(''))).toMatchObject({ code: 'INTERNAL_SERVER_ERROR', err: { message: 'a fault' } });
});

test('does not adopt error codes from unknown errors', () => {
  const foreign = new GraphQLError('from some library', {
    path: ['a'],
    extensions: { code: 'BAD_USER_INPUT', secret: 1 },
  });

  expect(mask(foreign).extensions).toEqual({ code: 'INTERNAL_SERVER_ERROR' });
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
