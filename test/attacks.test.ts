import { text } from 'node:stream/consumers';
import { parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { parseLimits, queryLimits } from '../src/graphql/documents.js';
import { createSchema } from '../src/graphql/schema.js';
import { acceptedSockets } from './support/accepted-sockets.js';
import { answersOn, nextOf, rawPost } from './support/raw-http.js';
import { openSocket } from './support/sockets.js';
import { shareStage } from './support/shared-stage.js';
import { manager, openStage, post, unverified } from './support/stage.js';
import { until } from './support/until.js';

/** No attack may influence the next request. */
const shared = shareStage({ INTROSPECTION: 'false' });

const phone = `contactPhone(userId: "${unverified}") { number }`;
const times = (count: number, part: (index: number) => string) =>
  Array.from({ length: count }, (_, i) => part(i)).join(' ');

/** Each is refused as a document, before any of it runs. */
test.for([
  [
    'an alias flood',
    `mutation { ${times(51, (i) => `a${i}: resendContactPhoneCode(userId: "${unverified}") { verificationCode }`)} }`,
    'GRAPHQL_VALIDATION_FAILED',
    'Aliases limit of 50 exceeded, found 51.',
  ],
  [
    'an alias flood from fragments',
    `{ ...a ...b } fragment a on Query { ${times(26, (i) => `a${i}: ${phone}`)} } fragment b on Query { ${times(26, (i) => `b${i}: ${phone}`)} }`,
    'GRAPHQL_VALIDATION_FAILED',
    'Aliases limit of 50 exceeded, found 52.',
  ],
  [
    'a flood of aliases of a cheap field',
    `{ ${times(51, (i) => `a${i}: __typename`)} }`,
    'GRAPHQL_VALIDATION_FAILED',
    'Aliases limit of 50 exceeded, found 51.',
  ],
  [
    'a long name',
    `{ ${'a'.repeat(101)}: __typename }`,
    'GRAPHQL_VALIDATION_FAILED',
    'A name must have at most 100 characters.',
  ],
  [
    'a name as long as a body',
    `{ ${'a'.repeat(90_000)} }`,
    'GRAPHQL_VALIDATION_FAILED',
    'A name must have at most 100 characters.',
  ],
  [
    'lists of lists, into which a million items could be wrapped',
    'query ($a: [[ID!]!]) { _entities(representations: [{ __typename: "User", id: $a }]) { __typename } }',
    'GRAPHQL_VALIDATION_FAILED',
    'A variable must not be a list of lists.',
  ],
  [
    'a long document with little in it',
    `{ __typename } #${'x'.repeat(100_000)}`,
    'GRAPHQL_PARSE_FAILED',
    'Syntax Error: Source contains more than 100000 UTF-16 code units. Parsing aborted.',
  ],
  [
    'a flood of mistakes, far down in a long document',
    `{ ${'\n'.repeat(90_000)} ${times(500, (i) => `x${i}`)} }`,
    'GRAPHQL_VALIDATION_FAILED',
    'Too many validation errors, error limit reached. Validation aborted.',
  ],
  [
    'a deep query',
    `{ ${'... on Query { '.repeat(11)} ${phone} ${'}'.repeat(11)} }`,
    'GRAPHQL_VALIDATION_FAILED',
    'Query depth limit of 10 exceeded, found 13.',
  ],
  [
    'a query of a depth that could exhaust the stack',
    `{ ${'a { '.repeat(600)} a ${'}'.repeat(600)} }`,
    'GRAPHQL_VALIDATION_FAILED',
    'Query depth limit of 10 exceeded, found 601.',
  ],
  [
    'a fragment cycle',
    `{ ...a } fragment a on Query { ${phone} ...b } fragment b on Query { ...a }`,
    'GRAPHQL_VALIDATION_FAILED',
    'Cannot spread fragment "a" within itself via "b".',
  ],
  [
    'a directive flood',
    `{ __typename ${'@skip(if: false) '.repeat(51)} }`,
    'GRAPHQL_VALIDATION_FAILED',
    'Directives limit of 50 exceeded, found 51.',
  ],
  [
    'a flood of directives that do not exist',
    `{ __typename ${'@a '.repeat(51)} }`,
    'GRAPHQL_VALIDATION_FAILED',
    'Directives limit of 50 exceeded, found 51.',
  ],
  [
    'a flood of tokens',
    `{ ${'__typename '.repeat(2_000)} }`,
    'GRAPHQL_PARSE_FAILED',
    'Syntax Error: Document contains more that 2000 tokens. Parsing aborted.',
  ],
] as const)('refuses %s, and serves the next request', async ([, query, code, message]) => {
  const stage = shared();

  const answer = await post(stage.graphql, { query }, manager);

  expect(answer.status).toBe(400);
  expect(answer.errors).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ message, extensions: { code, outcome: 'NOT_DONE' } }),
    ]) as unknown,
  );
  expect(answer.text).not.toMatch(/stack|Did you mean/);
  expect(answer.text.length).toBeLessThan(10_000);
  expect(stage.zitadel.calls).toEqual([]);
  expect((await stage.resend()).errors).toBeUndefined();
});

test('accepts requests just within the limits', async () => {
  const stage = shared();
  const aliases = times(50, (i) => `a${i}: ${phone}`);
  const depth = '... on Query { '.repeat(8);

  for (const query of [
    `{ ${aliases} }`,
    `{ ${depth} ${phone} ${'}'.repeat(8)} }`,
    `{ ${times(50, () => '__typename @include(if: true)')} }`,
  ]) {
    expect(await post(stage.graphql, { query }, manager)).toMatchObject({ status: 200, errors: undefined });
  }
  // A bad representation fails only at its place in the list.
  const long = `{ _entities(representations: [${'1 '.repeat(1_988)}]) { __typename } }`;
  expect((await post(stage.graphql, { query: long })).status).toBe(200);
  expect((await post(stage.graphql, { query: long.replace('[', '[1 ') })).status).toBe(400);
});

test('accepts the introspection query that tools send', async () => {
  const { getIntrospectionQuery } = await import('graphql');

  expect(validate(createSchema(), parse(getIntrospectionQuery(), parseLimits(2_000)), queryLimits(50))).toEqual([]);
});

const json = { 'content-type': 'application/json' };
const mutation = `mutation { resendContactPhoneCode(userId: "${unverified}") { verificationCode } }`;

test.for([
  ['a body of 2 MB', { body: JSON.stringify({ query: `{ __typename } #${'x'.repeat(2_000_000)}` }) }, 413],
  ['an array of operations', { body: JSON.stringify([{ query: mutation }, { query: mutation }]) }, 400],
  ['an empty array', { body: '[]' }, 400],
  [
    'another content type',
    { headers: { 'content-type': 'text/plain' }, body: JSON.stringify({ query: mutation }) },
    415,
  ],
  ['no content type', { headers: {}, body: Buffer.from(JSON.stringify({ query: mutation })) }, 415],
  [
    'bytes that are not UTF-8',
    {
      body: Buffer.concat([
        Buffer.from('{"query":"{ contactPhone(userId: \\"1'),
        Buffer.from([0xc3, 0x28]),
        Buffer.from('\\") { number } }"}'),
      ]),
    },
    400,
  ],
  ['a poisoned prototype', { body: '{"query":"{ __typename }","__proto__":{"a":1}}' }, 400],
] as [string, RequestInit, number][])('refuses %s, and serves the next request', async ([, request, status]) => {
  const stage = shared();

  const response = await fetch(stage.graphql, {
    method: 'POST',
    ...request,
    headers: { ...manager, ...((request.headers ?? json) as Record<string, string>) },
  });

  const answer = (await response.json()) as object;
  expect(response.status).toBe(status);
  expect(answer).toEqual({
    errors: [{ message: expect.any(String) as string, extensions: { code: 'BAD_REQUEST', outcome: 'NOT_DONE' } }],
  });
  expect(stage.zitadel.calls).toEqual([]);
  expect((await stage.resend()).errors).toBeUndefined();
});

test('refuses every content type that another site can send without a preflight', async () => {
  const stage = shared();
  const body = JSON.stringify({ query: mutation });
  const simple = [
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data',
    'text/plain; application/json',
  ];

  for (const type of simple) {
    const headers = { ...manager, 'content-type': type };
    expect((await fetch(stage.graphql, { method: 'POST', headers, body })).status).toBe(415);
  }
  expect((await fetch(stage.graphql, { method: 'POST', headers: manager })).status).toBe(400);
  expect(stage.zitadel.calls).toEqual([]);
});

test.for(['text/html', 'multipart/mixed', 'application/json;q=0'])(
  'refuses a client that accepts only %s before it does anything',
  async (accept) => {
    const stage = shared();

    const answer = await post(stage.graphql, { query: mutation }, { ...manager, accept });

    expect(answer).toMatchObject({
      status: 406,
      errors: [{ extensions: { code: 'BAD_REQUEST', outcome: 'NOT_DONE' } }],
    });
    expect(stage.zitadel.calls).toEqual([]);
  },
);

test('answers in an accepted media type', async () => {
  const stage = shared();
  const typeFor = async (accept: string) =>
    (await post(stage.graphql, { query: '{ __typename }' }, { accept })).headers.get('content-type');

  expect(await typeFor('*/*')).toMatch(/^application\/json/);
  expect(await typeFor('')).toMatch(/^application\/json/);
  expect(await typeFor('text/html, application/*;q=0.1')).toMatch(/^application\/json/);
  // Also if the result is already cached.
  for (let asked = 0; asked < 2; asked += 1) {
    expect(await typeFor('application/graphql-response+json')).toMatch(/^application\/graphql-response\+json/);
  }
});

test('raises the limits of tokens and aliases as configured, and no further', async () => {
  await using stage = await openStage({ MAX_TOKENS: '3000', MAX_ALIASES: '60' });
  const aliases = (count: number) => `{ ${times(count, (i) => `a${i}: __typename`)} }`;
  const tokens = (count: number) => `{ _entities(representations: [${'1 '.repeat(count - 12)}]) { __typename } }`;

  const answers = await Promise.all(
    [aliases(60), aliases(61), tokens(3_000), tokens(3_001)].map((query) => post(stage.graphql, { query })),
  );

  expect(answers.map(({ status }) => status)).toEqual([200, 400, 200, 400]);
});

test('accepts a body up to BODY_LIMIT', async () => {
  await using stage = await openStage({ BODY_LIMIT: '2000000' });
  const padded = (length: number) => `{"query":"{__typename}"${' '.repeat(length - 24)}}`;

  expect((await post(stage.graphql, padded(2_000_000))).status).toBe(200);
  expect((await post(stage.graphql, padded(2_000_001))).status).toBe(413);
});

test('refuses a mutation by GET', async () => {
  const stage = shared();

  const response = await fetch(`${stage.graphql}?query=${encodeURIComponent(mutation)}`, { headers: manager });

  expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST']);
  expect(await response.json()).toMatchObject({
    errors: [{ extensions: { code: 'BAD_REQUEST', outcome: 'NOT_DONE' } }],
  });
  expect(stage.zitadel.calls).toEqual([]);
});

test('refuses incomplete headers on both ports, and serves other clients meanwhile', async () => {
  await using stage = await openStage({ METRICS_PORT: '0' });
  const origins = [stage.url, new URL(stage.metricsUrl).origin];
  const slow = await Promise.all(origins.map(openSocket));
  // Browsers and load balancers open connections in advance. A refusal would look like the answer to the first request.
  const unused = await Promise.all(origins.map(openSocket));
  for (const socket of slow) socket.write('POST /graphql HTTP/1.1\r\nHost: a\r\nX-Slow: ');

  const answers = Promise.all(slow.map(text));
  expect((await stage.resend()).errors).toBeUndefined();

  for (const answer of await answers) {
    expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      errors: [{ extensions: { code: 'BAD_REQUEST', outcome: 'NOT_DONE' } }],
    });
  }
  expect(await Promise.all(unused.map(text))).toEqual(['', '']);
});

test('answers a request that arrived in time, even if it was read late', async () => {
  await using stage = await openStage();
  const accepted = acceptedSockets(stage.url);
  const socket = await openSocket(stage.url);
  await until(() => Promise.resolve(accepted.length === 1));
  const [connection] = accepted;

  socket.write(rawPost('{"query":"{ __typename }"}'));
  // Node emits this if its headers timer fires before it reads what has arrived.
  const late = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' });
  connection?.server.emit('clientError', late, connection);

  expect((await nextOf(answersOn(socket))).status).toBe(200);
  socket.destroy();
});

test('refuses requests on METRICS_PORT in the same shape', async () => {
  await using stage = await openStage({ METRICS_PORT: '0' });
  const { origin } = new URL(stage.metricsUrl);
  const refusalOf = async (path: string, method = 'GET') => {
    const response = await fetch(origin + path, { method });
    return [response.status, response.headers.get('allow'), (await response.json()) as object];
  };
  const refusal = (message: string) => ({
    errors: [{ message, extensions: { code: 'BAD_REQUEST', outcome: 'NOT_DONE' } }],
  });
  const notFound = [404, null, refusal('Not found. The metrics endpoint is /metrics.')];

  expect(await refusalOf('/graphql')).toEqual(notFound);
  expect(await refusalOf('/graphql', 'POST')).toEqual(notFound);
  expect(await refusalOf('/metrics', 'POST')).toEqual([405, 'GET', refusal('Use GET.')]);
});
