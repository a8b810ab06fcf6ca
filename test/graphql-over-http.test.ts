import { text } from 'node:stream/consumers';
import { auditServer } from 'graphql-http';
import { expect, test } from 'vitest';
import { acceptedSockets } from './support/accepted-sockets.js';
import { gate } from './support/gate.js';
import { answersOn, nextOf, rawPost } from './support/raw-http.js';
import { openSocket } from './support/sockets.js';
import { shareStage } from './support/shared-stage.js';
import { manager, openStage, post, resend, unverified } from './support/stage.js';

/** No refusal may influence the next request. */
const shared = shareStage();

const mutation = `mutation { resendContactPhoneCode(userId: "${unverified}") { verificationCode } }`;

test('passes the audit of GraphQL over HTTP', async () => {
  const stage = shared();

  const results = await auditServer({ url: stage.graphql });

  const named = (wanted: string) => results.filter(({ status }) => status === wanted).map(({ name }) => name);
  expect(named('error')).toEqual([]);
  // Apollo Server answers 400 to requests that it does not execute, even in the older media type.
  expect(named('warn')).toEqual([
    'SHOULD use 200 status code on document parsing failure when accepting application/json',
    'SHOULD use 200 status code on document validation failure when accepting application/json',
    'SHOULD use a status code of 200 on variable coercion failure when accepting application/json',
  ]);
  expect(named('notice').every((name) => name.includes('GET'))).toBe(true);
  expect(named('ok').length).toBeGreaterThan(50);
});

const refusal = (message: string) =>
  `${JSON.stringify({ errors: [{ message, extensions: { code: 'BAD_REQUEST', outcome: 'NOT_DONE' } }] })}\n`;
const json = { 'content-type': 'application/json' };

test.for([
  [
    'JSON that is cut short',
    { method: 'POST', headers: json, body: '{"query":' },
    400,
    'Cannot read the request: it must be HTTP with a JSON body in UTF-8.',
  ],
  [
    'no body',
    { method: 'POST', headers: json },
    400,
    'Cannot read the request: it must be HTTP with a JSON body in UTF-8.',
  ],
  [
    'a list of operations',
    { method: 'POST', headers: json, body: '[{"query":"{__typename}"}]' },
    400,
    'The body must be one GraphQL request: an object with `query` as a string, and optionally `variables` and `extensions` as objects.',
  ],
  [
    'a body over 1 MiB',
    { method: 'POST', headers: json, body: `"${'x'.repeat(1024 * 1024)}"` },
    413,
    'The request body is too large: the limit is 1048576 bytes.',
  ],
  ['plain text', { method: 'POST', body: 'x' }, 415, 'Set Content-Type to application/json.'],
  [
    'a form, which a browser posts across origins without asking',
    { method: 'POST', body: new URLSearchParams({ query: '{__typename}' }) },
    415,
    'Set Content-Type to application/json.',
  ],
  [
    'GET, whose URL would hold the variables',
    { method: 'GET' },
    405,
    'Use POST. GET is disabled so that variables never end up in access logs.',
  ],
] as const)('refuses %s as GraphQL would', async ([, request, status, message]) => {
  const stage = shared();

  const response = await fetch(stage.graphql, request);

  expect(response.status).toBe(status);
  expect(await response.text()).toBe(refusal(message));
  expect(response.headers.get('cache-control')).toBe('no-store');
  expect((await stage.resend()).errors).toBeUndefined();
});

const secret = 'S3CR3T';

const refusalWith = (code: string) => ({
  code,
  ...(code === 'BAD_USER_INPUT' && { reason: 'VARIABLES_INVALID' }),
  outcome: 'NOT_DONE',
});

test.for([
  [
    'a variable that is not an enum value',
    {
      query: 'mutation ($v: PhoneCodeMode!) { resendContactPhoneCode(userId: "1", mode: $v) { verificationCode } }',
      variables: { v: secret },
    },
    'BAD_USER_INPUT',
    'Variable "$v" got a value that is not a valid PhoneCodeMode!.',
  ],
  [
    'a variable that is not an id',
    {
      query: 'mutation ($v: ID!) { resendContactPhoneCode(userId: $v) { verificationCode } }',
      variables: { v: { a: secret } },
    },
    'BAD_USER_INPUT',
    'Variable "$v" got a value that is not a valid ID!.',
  ],
  [
    'an omitted variable',
    { query: 'mutation ($v: ID!) { resendContactPhoneCode(userId: $v) { verificationCode } }' },
    'BAD_USER_INPUT',
    'Variable "$v" of required type "ID!" was not provided.',
  ],
  [
    'an enum value that does not exist',
    { query: `mutation { resendContactPhoneCode(userId: "1", mode: ${secret}) { verificationCode } }` },
    'GRAPHQL_VALIDATION_FAILED',
    'This value is not a valid PhoneCodeMode.',
  ],
  [
    'a string for an enum value',
    { query: `mutation { resendContactPhoneCode(userId: "1", mode: "${secret}") { verificationCode } }` },
    'GRAPHQL_VALIDATION_FAILED',
    'This value is not a valid PhoneCodeMode.',
  ],
  [
    'a list for an id',
    { query: `mutation { resendContactPhoneCode(userId: ["${secret}"]) { verificationCode } }` },
    'GRAPHQL_VALIDATION_FAILED',
    'This value is not a valid ID.',
  ],
  [
    'null for an id',
    { query: 'mutation { resendContactPhoneCode(userId: null) { verificationCode } }' },
    'GRAPHQL_VALIDATION_FAILED',
    'This value is not a valid ID!.',
  ],
  [
    'null for a verification code, in a variable',
    {
      query:
        'mutation ($v: VerificationCode!) { verifyContactPhone(userId: "1", verificationCode: $v) { user { id } } }',
      variables: { v: null },
    },
    'BAD_USER_INPUT',
    'Variable "$v" of non-null type "VerificationCode!" must not be null.',
  ],
  [
    'a phone number without its quotation marks',
    { query: 'mutation { setContactPhone(userId: "1", number: +537237537) { user { id } } }' },
    'GRAPHQL_PARSE_FAILED',
    'Syntax Error: Unexpected character.',
  ],
  [
    'a national phone number without its quotation marks',
    { query: 'mutation { setContactPhone(userId: "1", number: 0537237537) { user { id } } }' },
    'GRAPHQL_PARSE_FAILED',
    'Syntax Error: Invalid number, unexpected digit after 0.',
  ],
  [
    'null for a phone number',
    { query: 'mutation { setContactPhone(userId: "1", number: null) { user { id } } }' },
    'GRAPHQL_VALIDATION_FAILED',
    'This value is not a valid PhoneNumber!.',
  ],
  [
    'a misplaced string',
    { query: `mutation { resendContactPhoneCode("${secret}") { verificationCode } }` },
    'GRAPHQL_PARSE_FAILED',
    'Syntax Error: Expected Name, found String.',
  ],
  [
    'a misplaced name',
    { query: `mutation { resendContactPhoneCode(userId ${secret}) { verificationCode } }` },
    'GRAPHQL_PARSE_FAILED',
    'Syntax Error: Expected ":", found Name.',
  ],
  [
    'a number that runs into letters',
    { query: `mutation { resendContactPhoneCode(userId: 7${secret}) { verificationCode } }` },
    'GRAPHQL_PARSE_FAILED',
    'Syntax Error: Invalid number, expected digit but got.',
  ],
  [
    'a misspelt field',
    { query: 'mutation { resendContactPhoneCode(userId: "1") { verificationCod } }' },
    'GRAPHQL_VALIDATION_FAILED',
    'Cannot query field "verificationCod" on type "ResendResult".',
  ],
  [
    'a misspelt argument',
    { query: 'mutation { resendContactPhoneCode(userId: "1", mod: SEND_CODE) { verificationCode } }' },
    'GRAPHQL_VALIDATION_FAILED',
    'Unknown argument "mod" on field "Mutation.resendContactPhoneCode".',
  ],
] as const)('repeats no value and makes no suggestion when it refuses %s', async ([, body, code, message]) => {
  const stage = shared();

  const answer = await post(stage.graphql, body, manager);

  expect(answer).toMatchObject({ status: 400, errors: [{ message }] });
  expect(answer.errors?.map(({ extensions }) => extensions)).toEqual([refusalWith(code)]);
  expect(answer.text).not.toMatch(/Did you mean|stack|S3CR3T|537237537/i);
  expect(stage.lines.join('')).not.toMatch(/S3CR3T|537237537/);
  expect(stage.zitadel.calls).toEqual([]);
});

const nullable = (declared: string) =>
  `mutation (${declared}) { resendContactPhoneCode(userId: "1", mode: $v) { verificationCode } }`;

test.for([
  [
    'null for an optional variable',
    { query: nullable('$v: PhoneCodeMode'), variables: { v: null } },
    'BAD_USER_INPUT',
    'Argument "mode" of non-null type "PhoneCodeMode!" must not be null.',
  ],
  [
    'null for a variable that has a default',
    { query: nullable('$v: PhoneCodeMode = SEND_CODE'), variables: { v: null } },
    'BAD_USER_INPUT',
    'Argument "mode" of non-null type "PhoneCodeMode!" must not be null.',
  ],
  [
    'null for a condition',
    { query: 'query ($v: Boolean = true) { __typename @include(if: $v) }', variables: { v: null } },
    'BAD_USER_INPUT',
    'Argument "if" of non-null type "Boolean!" must not be null.',
  ],
  [
    'null for a condition below a mutation',
    {
      query: `mutation ($v: Boolean = true) { resendContactPhoneCode(userId: "${unverified}") { ...Code } }
        fragment Code on ResendResult { verificationCode @skip(if: $v) }`,
      variables: { v: null },
    },
    'BAD_USER_INPUT',
    'Argument "if" of non-null type "Boolean!" must not be null.',
  ],
  [
    'a subscription',
    { query: 'subscription { a }' },
    'OPERATION_RESOLUTION_FAILURE',
    'Schema is not configured to execute subscription operation.',
  ],
  [
    'an operation that the document does not contain',
    { query: 'query A { __typename }', operationName: secret },
    'OPERATION_RESOLUTION_FAILURE',
    'Unknown operation.',
  ],
  [
    'a persisted query',
    { extensions: { persistedQuery: { version: 1, sha256Hash: secret } } },
    'PERSISTED_QUERY_NOT_SUPPORTED',
    'PersistedQueryNotSupported',
  ],
  [
    'no query',
    { variables: { v: secret } },
    'BAD_REQUEST',
    'GraphQL operations must contain a non-empty `query` or a `persistedQuery` extension.',
  ],
] as const)('blames the request, not the server: %s', async ([, body, code, message]) => {
  const stage = shared();

  const answer = await post(stage.graphql, body, manager);

  expect(answer.status).toBeLessThan(500);
  expect(answer.errors).toMatchObject([{ message }]);
  expect(answer.errors?.map(({ extensions }) => extensions)).toEqual([refusalWith(code)]);
  expect(stage.zitadel.calls).toEqual([]);
  expect(answer.text).not.toContain(secret);
  expect(stage.lines.filter((line) => line.includes('"level":"error"'))).toEqual([]);
  expect(stage.zitadel.calls).toEqual([]);
});

const bad = 'Cannot read the request: it must be HTTP with a JSON body in UTF-8.';

test.for([
  ['a URL that cannot be decoded', 'GET /%zz?code=S3CR3T HTTP/1.1\r\nHost: a\r\n\r\n', 400, bad],
  ['an invalid header', 'POST /graphql HTTP/1.1\r\nHost: a\r\nS3CR3T\r\n\r\n', 400, bad],
  ['a TLS handshake', '\x16\x03\x01\x02\x00\x01', 400, bad],
  [
    'headers of 24 KB',
    `POST /graphql HTTP/1.1\r\nHost: a\r\nX-Long: ${'x'.repeat(24_000)}\r\n\r\n`,
    431,
    'The request headers are too large: the limit is 16384 bytes.',
  ],
  [
    'a request without a host',
    'GET /health/live HTTP/1.1\r\nX: S3CR3T\r\n\r\n',
    400,
    'Set the Host header: HTTP/1.1 requires it.',
  ],
  [
    'an unsupported expectation',
    'POST /graphql HTTP/1.1\r\nHost: a\r\nExpect: S3CR3T\r\n\r\n',
    417,
    'Cannot satisfy Expect: only 100-continue is supported.',
  ],
] as const)('refuses %s as GraphQL would, without repeating anything', async ([, bytes, status, message]) => {
  const stage = shared();

  const answer = await sendRaw(stage.url, bytes);

  expect(answer).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  expect(answer.split('\r\n\r\n')[1]).toBe(refusal(message));
  expect(answer).toMatch(/\r\ncache-control: no-store\r\n/i);
  expect(stage.lines.join('')).toContain(`"httpStatus":${status},"msg":"Refused a malformed request"`);
  expect(stage.lines.join('')).not.toContain('S3CR3T');
  expect((await stage.resend()).errors).toBeUndefined();
});

test.for([
  ['something other than HTTP', 'S3CR3T\r\n\r\n'],
  ['headers that are too large', `GET / HTTP/1.1\r\nX: ${'x'.repeat(24_000)}\r\n\r\n`],
] as const)('does not let the refusal of %s look like the answer to the previous request', async ([, bytes]) => {
  await using stage = await openStage();
  const answering = gate();
  stage.zitadel.misbehave({ hold: answering.opened });
  const socket = await openSocket(stage.url);
  const answers = answersOn(socket);

  socket.write(rawPost(JSON.stringify({ query: mutation }), manager) + bytes);
  await stage.zitadel.called(1);
  socket.write(bytes);
  answering.open();

  const { status, head, body } = await nextOf(answers);
  expect([status, body]).toEqual([200, expect.stringContaining('"data":{"resendContactPhoneCode":{')]);
  expect(head).toContain('connection: close');
  expect((await answers.next()).done).toBe(true);
});

test('does not refuse a request for being late once it has been answered', async () => {
  await using stage = await openStage();
  const accepted = acceptedSockets(stage.url);
  const socket = await openSocket(stage.url);
  const answers = answersOn(socket);

  // The body is never sent, and the server does not need it.
  socket.write(rawPost('', { 'content-length': '9', 'content-encoding': 'zstd' }));
  expect((await nextOf(answers)).status).toBe(415);
  // Simulates that ten seconds have passed.
  for (const { server } of accepted) Object.assign(server, { headersTimeout: 1, requestTimeout: 1 });

  expect((await answers.next()).done).toBe(true);
});

test('forbids caching of its answers', async () => {
  const stage = shared();

  for (const answer of [await stage.resend(), await post(stage.graphql, { query: '{ nothing }' })]) {
    expect(answer.headers.get('cache-control')).toBe('no-store');
  }
});

test('closes a connection that has been idle for longer than KEEP_ALIVE_TIMEOUT_MS', async () => {
  await using stage = await openStage({ KEEP_ALIVE_TIMEOUT_MS: '1' });
  const socket = await openSocket(stage.url);
  const answers = answersOn(socket);
  socket.write(rawPost('{"query":"{ __typename }"}'));

  expect((await nextOf(answers)).status).toBe(200);
  expect((await answers.next()).done).toBe(true);
});

test('announces how long it keeps an idle connection, as set by KEEP_ALIVE_TIMEOUT_MS', async () => {
  await using stage = await openStage({ KEEP_ALIVE_TIMEOUT_MS: '620000' });

  expect((await stage.resend()).headers.get('keep-alive')).toBe('timeout=620');
});

/** Sends raw bytes, and returns everything that the server sends until it closes. */
async function sendRaw(url: string, bytes: string): Promise<string> {
  const socket = await openSocket(url);
  socket.end(bytes, 'latin1');
  return text(socket);
}

test('keeps the variables of a URL out of the log', async () => {
  const stage = shared();

  await fetch(`${stage.graphql}?variables=${encodeURIComponent(JSON.stringify({ v: secret }))}`);

  expect(stage.lines).not.toEqual([]);
  expect(stage.lines.join('')).not.toContain(secret);
});

test('reports the location of an error in the document, and the path of a failed field', async () => {
  const stage = shared();
  const ask = (query: string) => post(stage.graphql, { query });

  expect((await ask('{\n  a\n}')).errors).toMatchObject([{ locations: [{ line: 2, column: 3 }] }]);
  expect((await ask('{\n  !\n}')).errors).toMatchObject([{ locations: [{ line: 2, column: 3 }] }]);
  for (let asked = 0; asked < 2; asked += 1) {
    const [failed] = (await ask('{ a: contactPhone(userId: "1") { number } }')).errors ?? [];
    expect(failed).toMatchObject({ path: ['a'], extensions: { code: 'UNAUTHENTICATED', reason: 'TOKEN_MISSING' } });
    expect(failed).not.toHaveProperty('locations');
  }
});

test('preserves a long id that is written as a number in the document', async () => {
  await using stage = await openStage();

  await post(
    stage.graphql,
    { query: `mutation { resendContactPhoneCode(userId: ${unverified}) { verificationCode } }` },
    manager,
  );

  expect(stage.zitadel.outbox).toHaveLength(1);
});

test('shows its schema if configured, regardless of NODE_ENV', async () => {
  const query = '{ __schema { mutationType { name } } }';
  await using shown = await openStage({ INTROSPECTION: 'true' });
  await using hidden = await openStage({ INTROSPECTION: 'false' });

  expect((await post(shown.graphql, { query })).data).toEqual({ __schema: { mutationType: { name: 'Mutation' } } });
  expect(await post(hidden.graphql, { query })).toMatchObject({
    status: 400,
    data: undefined,
    errors: [
      {
        message: 'Introspection is off. To turn it on, start this server with INTROSPECTION=true.',
        extensions: { code: 'GRAPHQL_VALIDATION_FAILED', outcome: 'NOT_DONE' },
      },
    ],
  });
});

test('allows browsers from the configured origins, and no others', async () => {
  await using stage = await openStage({ CORS_ORIGINS: 'https://app.example.com, https://admin.example.com' });
  const preflight = (origin: string) =>
    fetch(stage.graphql, {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    });
  const allowed = await preflight('https://admin.example.com');
  const answer = await resend(stage.url, {}, { ...manager, origin: 'https://app.example.com' });
  const stranger = await preflight('https://evil.example.com');
  const noPreflight = await fetch(stage.graphql, { method: 'OPTIONS', headers: { origin: 'https://app.example.com' } });

  expect(allowed.headers.get('access-control-allow-origin')).toBe('https://admin.example.com');
  expect(allowed.headers.get('access-control-allow-headers')).toBe('authorization,content-type');
  expect(answer.headers.get('access-control-allow-origin')).toBe('https://app.example.com');
  expect(allowed.headers.get('access-control-max-age')).toBe('7200');
  expect(answer.headers.get('access-control-expose-headers')).toBe('date, x-request-id');
  expect(stranger.headers.get('access-control-allow-origin')).toBeNull();
  expect([noPreflight.status, await noPreflight.text()]).toEqual([204, '']);
});

test('allows any port of a host if the port is *', async () => {
  await using stage = await openStage({ CORS_ORIGINS: 'http://localhost:*,http://127.0.0.1:*,http://[::1]:*' });
  const allowed = async (origin: string) => {
    const { headers } = await resend(stage.url, { userId: '1' }, { ...manager, origin });
    return headers.get('access-control-allow-origin') === origin;
  };

  for (const host of ['localhost', '127.0.0.1', '[::1]']) {
    for (const port of ['', ':80', ':5173', ':65535']) expect(await allowed(`http://${host}${port}`)).toBe(true);
  }
  for (const origin of [
    'https://localhost:5173',
    'http://localhost:5173/',
    'http://localhost:evil',
    'http://localhost.evil.example:5173',
    'http://evil.example:5173',
    'http://127.0.0x1:80',
    'http://user@localhost:80',
    'null',
  ]) {
    expect(await allowed(origin), origin).toBe(false);
  }
});

test('allows no browser from another origin by default', async () => {
  const stage = shared();

  const answer = await resend(stage.url, {}, { ...manager, origin: 'https://app.example.com' });

  expect(answer.headers.get('access-control-allow-origin')).toBeNull();
});

test('reports that it is live and ready', async () => {
  const stage = shared();

  for (const path of ['/health/live', '/health/ready']) {
    const response = await fetch(stage.url + path);
    expect([response.status, await response.json()]).toMatchObject([200, { status: 'ok' }]);
  }
});

test('names the GraphQL endpoint at every other path', async () => {
  const stage = shared();

  const response = await fetch(`${stage.url}/graphql/nothing`);

  expect([response.status, await response.text()]).toEqual([
    404,
    refusal('Not found. The GraphQL endpoint is /graphql.'),
  ]);
});
