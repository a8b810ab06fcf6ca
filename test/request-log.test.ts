import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import type { Misbehaviour } from '../src/embedded-zitadel/embedded-zitadel.js';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { Failure } from '../src/failure.js';
import { createLogger, safePath } from '../src/logger.js';
import { RequestRecord } from '../src/telemetry/request-record.js';
import { crowd } from './support/crowd.js';
import { resendAndHangUp } from './support/hang-up.js';
import { readMany, user } from './support/reads.js';
import { openSocket } from './support/sockets.js';
import { manager, openStage, post, unverified } from './support/stage.js';
import { until } from './support/until.js';
import { answered } from './support/zitadel.js';

type Stage = Awaited<ReturnType<typeof openStage>>;

const router = { 'x-router-secret': 'S3CR3T-of-the-router' };

/** Sends a POST with these headers over a raw connection, and waits for the end of the answer. */
async function sendRaw(url: string, headers: string) {
  const socket = await openSocket(url);
  socket.end(`POST /graphql HTTP/1.1\r\n${headers}\r\n`);
  await text(socket);
}

interface Line {
  level: string;
  msg: string;
  requestId: string;
  upstreamMs: number;
  totalMs: number;
  [field: string]: unknown;
}

/** Only the request lines so far. */
const requestLines = (lines: string[]) =>
  lines.map((line) => JSON.parse(line) as Line).filter(({ msg }) => msg === 'request');

/** The parts of a line that are the same each time. */
const ours = (line: Line) => {
  const changing = ['time', 'pid', 'hostname', 'requestId', 'upstreamMs', 'totalMs', 'msg'];
  return Object.fromEntries(Object.entries(line).filter(([field]) => !changing.includes(field)));
};

test('logs each request in one line', async () => {
  await using stage = await openStage({ VERIFY_LIMIT: '' });

  await stage.resend({}, { ...manager, 'x-request-id': 'Root=1-67891233-abc/7.4' });
  await stage.run('verify-contact-phone', { userId: unverified, verificationCode: 'WRONG1' });
  await stage.resend({}, {});
  await stage.resend({ userId: 'a/b' });
  stage.zitadel.misbehave({ answer: { status: 502 } });
  await stage.run('contact-phone', { userId: unverified });
  await readMany(
    stage.graphql,
    [...crowd(2), users.phoneless].map(({ userId }) => user(userId)),
  );
  await post(stage.graphql, { query: '{ a: contactPhone(userId: "1") { number } __typename }' }, manager);
  await post(stage.graphql, { query: '{ nothing }' });
  await post(stage.graphql, '{');
  await fetch(`${stage.url}/nothing`);
  await fetch(stage.graphql);

  const lines = requestLines(stage.lines);
  const resend = { operation: 'ResendContactPhoneCode', kind: 'mutation', field: 'resendContactPhoneCode' };
  const read = { operation: 'ContactPhone', kind: 'query', field: 'contactPhoneUser' };
  const notDone = { outcome: 'NOT_DONE', upstreamCalls: 0 };
  expect(lines.map(ours)).toEqual([
    // The user is read before an SMS.
    { level: 'info', ...resend, code: 'OK', userId: unverified, upstreamCalls: 2, httpStatus: 200 },
    {
      level: 'info',
      operation: 'VerifyContactPhone',
      kind: 'mutation',
      field: 'verifyContactPhone',
      code: 'INVALID_VERIFICATION_CODE',
      outcome: 'NOT_DONE',
      zitadelErrorId: 'COMMAND-eis9R',
      userId: unverified,
      upstreamCalls: 2,
      httpStatus: 200,
    },
    {
      level: 'info',
      ...resend,
      code: 'UNAUTHENTICATED',
      reason: 'TOKEN_MISSING',
      ...notDone,
      userId: unverified,
      httpStatus: 200,
    },
    { level: 'info', ...resend, code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID', ...notDone, httpStatus: 200 },
    {
      level: 'warn',
      ...read,
      code: 'UPSTREAM_UNAVAILABLE',
      reason: 'SAYS_UNAVAILABLE',
      userId: unverified,
      upstreamCalls: 1,
      httpStatus: 200,
      err: {
        type: 'ZitadelError',
        message: 'GetUserByID: foreign (HTTP 502): content type none',
      },
    },
    {
      level: 'info',
      kind: 'query',
      field: '_entities',
      code: 'NOT_FOUND',
      reason: 'USER_UNKNOWN',
      errors: 2,
      users: 3,
      upstreamCalls: 1,
      httpStatus: 200,
    },
    {
      level: 'info',
      kind: 'query',
      field: 'several',
      code: 'NOT_FOUND',
      reason: 'USER_UNKNOWN',
      zitadelErrorId: 'QUERY-Dfbg2',
      userId: '1',
      upstreamCalls: 1,
      httpStatus: 200,
    },
    { level: 'info', code: 'GRAPHQL_VALIDATION_FAILED', ...notDone, httpStatus: 400 },
    {
      level: 'info',
      method: 'POST',
      path: '/graphql',
      code: 'BAD_REQUEST',
      refusal: 'Cannot read the request: it must be HTTP with a JSON body in UTF-8.',
      ...notDone,
      httpStatus: 400,
    },
    {
      level: 'info',
      method: 'GET',
      path: '/nothing',
      code: 'BAD_REQUEST',
      refusal: 'Not found. The GraphQL endpoint is /graphql.',
      ...notDone,
      httpStatus: 404,
    },
    {
      level: 'info',
      method: 'GET',
      path: '/graphql',
      code: 'BAD_REQUEST',
      refusal: 'Use POST. GET is disabled so that variables never end up in access logs.',
      ...notDone,
      httpStatus: 405,
    },
  ]);
  expect(lines[0]?.requestId).toBe('Root=1-67891233-abc/7.4');
  expect(new Set(lines.map(({ requestId }) => requestId)).size).toBe(lines.length);
  for (const { upstreamCalls, upstreamMs, totalMs } of lines) {
    expect(upstreamMs > 0).toBe(Number(upstreamCalls) > 0);
    expect(totalMs).toBeGreaterThan(upstreamMs);
  }
});

/** What a browser sends before a request of a page. */
const preflight = (url: string, origin = 'https://app.example.com') =>
  fetch(url, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'POST' } });

test.for([
  ['GET /graphql', 405, 'Use POST. ', ({ graphql }: Stage) => fetch(`${graphql}?query=S3CR3T`)],
  ['POST /query', 404, 'Not found. ', ({ url }: Stage) => post(`${url}/query`, {})],
  ['POST other', 404, 'Not found. ', ({ url }: Stage) => post(`${url}/verify/${unverified}/7QK2ZD`, {})],
  ['OPTIONS /graphql', 405, 'Browsers may not call this server: ', ({ graphql }: Stage) => preflight(graphql)],
  [
    'POST /graphql',
    406,
    'Cannot satisfy Accept: ',
    ({ graphql }: Stage) => post(graphql, {}, { accept: 'text/html', ...router }),
  ],
  ['POST /graphql', 403, 'Only the router may call this server', ({ graphql }: Stage) => post(graphql, {})],
  [
    'POST /graphql',
    415,
    'Set Content-Type',
    ({ graphql }: Stage) => post(graphql, {}, { 'content-type': 'text/plain', ...router }),
  ],
  [
    'POST /graphql',
    415,
    'Set Content-Encoding',
    ({ graphql }) => post(graphql, {}, { 'content-encoding': 'x', ...router }),
  ],
  [
    'POST /graphql',
    413,
    'The request body is too large',
    ({ graphql }) => post(graphql, 'x'.repeat(2_000_000), router),
  ],
  ['POST /graphql', 400, 'The body must be one GraphQL request', ({ graphql }) => post(graphql, [], router)],
  ['POST /graphql', 400, 'GraphQL operations must contain a non-empty', ({ graphql }) => post(graphql, {}, router)],
  ['POST /graphql', 417, 'Cannot satisfy Expect', ({ url }) => sendRaw(url, 'Host: a\r\nExpect: S3CR3T\r\n')],
  ['POST /graphql', 400, 'Set the Host header', ({ url }) => sendRaw(url, 'Connection: close\r\n')],
  ['GET other', 400, 'Cannot read the request', ({ url }) => fetch(`${url}/%zz`)],
  [
    'undefined undefined',
    431,
    'The request headers are too large',
    ({ url }) => sendRaw(url, `A: ${'x'.repeat(20_000)}\r\n`),
  ],
] as [string, number, string, (stage: Stage) => Promise<unknown>][])(
  'logs what was refused and why: %s with HTTP %i, %s…',
  async ([request, httpStatus, why, send]) => {
    await using stage = await openStage({ ROUTER_SECRETS: router['x-router-secret'] });

    await send(stage);

    const refused = stage.lines.map((line) => JSON.parse(line) as Line).filter(({ refusal }) => refusal !== undefined);
    expect(refused.map(({ method, path }) => `${String(method)} ${String(path)}`)).toEqual([request]);
    expect(refused).toMatchObject([
      { level: 'info', code: expect.stringMatching(/^(BAD_REQUEST|ROUTER_SECRET_MISSING)$/) as string, httpStatus },
    ]);
    expect(refused[0]?.['refusal']).toContain(why);
    expect(stage.lines.join('')).not.toMatch(/S3CR3T|7QK2ZD/);
  },
);

/** The lines about calls to ZITADEL, without those about probes. */
const callLines = (lines: string[]) =>
  lines.map((line) => JSON.parse(line) as Line).filter(({ msg, rpc }) => msg === 'Call to ZITADEL' && rpc !== 'Probe');

test('logs each call to ZITADEL with LOG_LEVEL=debug, and which attempt it is', async () => {
  await using stage = await openStage({ LOG_LEVEL: 'debug' });
  const unavailable = { answer: { status: 503 } };
  stage.zitadel.misbehave(unavailable);
  await stage.run('contact-phone', { userId: unverified }, { ...manager, 'x-request-id': 'read-1' });
  stage.zitadel.misbehaveWhenWriting(unavailable);
  await stage.resend({ mode: 'RETURN_CODE' }, { ...manager, 'x-request-id': 'write-1' });

  const foreign = { level: 'debug', httpStatus: 503, code: 'UPSTREAM_UNAVAILABLE', reason: 'SAYS_UNAVAILABLE' };
  expect(callLines(stage.lines).map((line) => ({ ...ours(line), requestId: line.requestId, ms: 0 }))).toEqual([
    { ...foreign, requestId: 'read-1', rpc: 'GetUserByID', attempt: 1, ms: 0 },
    { level: 'debug', requestId: 'read-1', rpc: 'GetUserByID', attempt: 2, httpStatus: 200, code: 'OK', ms: 0 },
    { ...foreign, requestId: 'write-1', rpc: 'ResendPhoneCode', attempt: 1, outcome: 'UNKNOWN', ms: 0 },
  ]);
  await stage.zitadel.probed(1);
  await until(() => Promise.resolve(stage.lines.some((line) => line.includes('"rpc":"Probe"'))));
});

test('logs no calls to ZITADEL with LOG_LEVEL=info', async () => {
  await using stage = await openStage({ LOG_LEVEL: 'info' });
  await stage.resend();

  expect(callLines(stage.lines)).toEqual([]);
  expect(requestLines(stage.lines)).toHaveLength(1);
});

test.for([
  ['https://admin.example.com', []],
  ['https://new.example.com:8443', ['https://new.example.com:8443']],
  ['http://41791234567.example.com', ['other']],
  ['null', ['other']],
] as const)('logs the preflight of the origin %s only if it is not in CORS_ORIGINS', async ([origin, logged]) => {
  await using stage = await openStage({ CORS_ORIGINS: 'https://admin.example.com' });

  expect((await preflight(stage.graphql, origin)).status).toBe(204);

  const lines = stage.lines.map((line) => JSON.parse(line) as Line).filter(({ msg }) => msg.includes('preflight'));
  expect(lines.map((line) => line['origin'])).toEqual(logged);
});

/** The logged failure of a mutation, and what the client sees of ZITADEL's answer. */
async function failureOf(answer: Misbehaviour, mutation: 'set' | 'verify') {
  await using stage = await openStage();
  stage.zitadel.misbehaveWhenWriting(answer);
  const { errors } =
    mutation === 'set'
      ? await stage.run('set-contact-phone', { userId: unverified, number: '+41795550101' })
      : await stage.run('verify-contact-phone', { userId: unverified, verificationCode: 'S3"R3T' });
  const [line] = requestLines(stage.lines);
  return { logged: (line?.['err'] as { message: string }).message, shown: errors?.[0]?.extensions };
}

test.for([
  [
    'a host that ZITADEL does not know',
    answered(
      {
        code: 5,
        message:
          'unable to set instance using origin http://zitadel-7f9c4d5b6-x2x1z-internal:8080 (ExternalDomain is a.example)',
      },
      404,
    ),
    'rejected (HTTP 404, code 5): unable to set instance using origin http://zitadel-7f9c4d5b6-x2x1z-internal:8080 (ExternalDomain is a.example)',
    'UPSTREAM_MISCONFIGURED',
  ],
  [
    'the target of a redirect, without its path',
    { answer: { status: 302, headers: { location: 'https://login.example.com/callback?code=S3CR3T' } } },
    'foreign (HTTP 302): redirect to https://login.example.com',
    'UPSTREAM_MISCONFIGURED',
  ],
  [
    'the content type of an answer that is not JSON',
    { answer: { status: 404, headers: { 'content-type': 'text/html; charset=utf-8' }, body: '<h1>No</h1>' } },
    'foreign (HTTP 404): content type text/html; charset=utf-8',
    'UPSTREAM_MISCONFIGURED',
  ],
  [
    'a multi-line message in one line',
    answered({ code: 13, message: 'panic:\n\u001b[31mred\u202e' }, 500),
    'rejected (HTTP 500, code 13): panic:\\u{a}\\u{1b}[31mred\\u{202e}',
    'UPSTREAM_ERROR',
  ],
  [
    '300 characters of a message that is long',
    answered({ code: 13, message: 'x'.repeat(100_000) }, 500),
    `rejected (HTTP 500, code 13): ${'x'.repeat(300)}`,
    'UPSTREAM_ERROR',
  ],
  [
    'a message without the number that it quotes',
    answered({ code: 13, message: 'invalid value for string field phone: "+41795550101", or 41795550101' }, 500),
    'rejected (HTTP 500, code 13): invalid value for string field phone: "…", or …',
    'UPSTREAM_ERROR',
  ],
  [
    'a message without the numbers of other people',
    answered(
      { code: 13, message: 'cannot send to +41 79 123-45-67, nor to ?To=%2B41791234567, at 10.0.0.12:5432 +0200' },
      500,
    ),
    'rejected (HTTP 500, code 13): cannot send to …, nor to ?To=…, at 10.0.0.12:5432 +0200',
    'UPSTREAM_ERROR',
  ],
  [
    'a message without the token that it quotes',
    answered({ code: 13, message: `token ${tokens.manager.token} has expired` }, 500),
    'rejected (HTTP 500, code 13): token … has expired',
    'UPSTREAM_ERROR',
  ],
] as [string, Misbehaviour, string, string][])(
  'logs for the operator, but shows to no client, %s',
  async ([, answer, note, code]) => {
    const { logged, shown } = await failureOf(answer, 'set');

    expect(logged).toBe(`SetPhone: ${note}`);
    expect(shown).toMatchObject({ code });
    expect(JSON.stringify(shown)).not.toContain('message');
  },
);

test("logs ZITADEL's message without the code that it quotes, however it is quoted", async () => {
  const { logged } = await failureOf(answered({ code: 13, message: 'bad code: S3"R3T, "S3\\"R3T"' }, 500), 'verify');

  expect(logged).toBe('VerifyPhone: rejected (HTTP 500, code 13): bad code: …, "…"');
});

test("logs ZITADEL's message without the token that it quotes, however it was sent", async () => {
  await using stage = await openStage();
  stage.zitadel.misbehave(answered({ code: 13, message: 'bad token: "S3CR3T-T0KEN"' }, 500));

  await stage.resend({}, { authorization: 'Bearer   S3CR3T-T0KEN' });

  expect(stage.lines.join('')).toContain('bad token: \\"…\\"');
  expect(stage.lines.join('')).not.toContain('S3CR3T');
});

test("uses the request's id or generates one, and returns it", async () => {
  await using stage = await openStage();
  const idFor = async (given?: string) => {
    const { headers } = await stage.resend({}, given === undefined ? manager : { ...manager, 'x-request-id': given });
    return headers.get('x-request-id');
  };

  expect(await idFor('0f4b-1')).toBe('0f4b-1');
  expect(await idFor()).toMatch(/^[\da-f-]{36}$/);
  expect(await idFor('a'.repeat(129))).toMatch(/^[\da-f-]{36}$/);
  expect(await idFor('+41791234567')).toMatch(/^[\da-f-]{36}$/);
});

test('counts the time of concurrent calls once', async () => {
  await using stage = await openStage({}, { moreUsers: crowd(250) });

  await readMany(
    stage.graphql,
    crowd(250).map(({ userId }) => user(userId)),
  );

  const [line] = requestLines(stage.lines);
  expect(line?.['upstreamCalls']).toBe(3);
  expect(line?.upstreamMs).toBeLessThan(line?.totalMs ?? 0);
});

test('does not log a phone number or an e-mail address given as a user id', async () => {
  await using stage = await openStage();

  for (const userId of ['+41791234567', '41791234567', '41-79-123-45-67', 'somebody@example.com']) {
    await stage.run('contact-phone', { userId });
  }

  expect(requestLines(stage.lines).map(({ userId }) => userId)).toEqual(Array(4).fill(undefined));
  expect(stage.lines.join('')).not.toMatch(/41-?79-?123|example/);
});

test("logs ZITADEL's id of an error, and nothing else in its place", async () => {
  await using stage = await openStage();
  const ids = ['COMMAND-ieJ2e', 'RECOVER', '+41791234567', 'a\nb', 'X'.repeat(65), 'AUTH-7fs1e {"token":"S3CR3T"}'];

  for (const id of ids) {
    const details = [{ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id }];
    const body = JSON.stringify({ code: 7, message: 'No.', details });
    stage.zitadel.misbehave({ answer: { status: 403, headers: { 'content-type': 'application/json' }, body } });
    await stage.run('contact-phone', { userId: unverified });
  }

  expect(requestLines(stage.lines).map(({ code }) => code)).toEqual(Array(6).fill('FORBIDDEN'));
  expect(requestLines(stage.lines).map(({ zitadelErrorId }) => zitadelErrorId)).toEqual([
    'COMMAND-ieJ2e',
    'RECOVER',
    ...Array<undefined>(4).fill(undefined),
  ]);
});

test('logs a request whose caller has hung up once it has completed', async () => {
  await using stage = await openStage();
  const answering = await resendAndHangUp(stage, 'SEND_CODE');
  expect(requestLines(stage.lines)).toEqual([]);
  answering.open();
  await stage.closeServer();

  expect(requestLines(stage.lines)).toMatchObject([{ code: 'OK', userId: unverified }]);
});

test('logs a request that breaks off before it has fully arrived', async () => {
  await using stage = await openStage();
  const socket = await openSocket(stage.url);
  socket.write(
    'POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n',
  );
  await once(socket, 'data');
  socket.destroy();
  await until(() => Promise.resolve(requestLines(stage.lines).length > 0));

  expect(requestLines(stage.lines)).toMatchObject([
    { code: 'BAD_REQUEST', outcome: 'NOT_DONE', refusal: 'The client hung up before the request had arrived.' },
  ]);
});

test('logs all causes of a request that failed for several reasons', async () => {
  await using stage = await openStage({}, { moreUsers: crowd(101) });
  stage.zitadel.misbehave({ answer: { status: 502 } }, { answer: { status: 504 } });

  await readMany(
    stage.graphql,
    crowd(101).map(({ userId }) => user(userId)),
  );

  expect(requestLines(stage.lines)).toMatchObject([
    {
      level: 'warn',
      errors: 101,
      err: {
        type: 'AggregateError',
        message: '2 causes',
        errors: expect.arrayContaining([
          expect.objectContaining({ message: 'ListUsers: foreign (HTTP 502): content type none' }),
          expect.objectContaining({ message: 'ListUsers: foreign (HTTP 504): content type none' }),
        ]) as unknown,
      },
    },
  ]);
});

test('logs a request without the router secret', async () => {
  await using stage = await openStage({ ROUTER_SECRETS: 'S3CR3T-of-the-router' });

  await stage.resend({}, { ...manager, 'x-request-id': 'stranger-1' });

  const lines = stage.lines
    .map((line) => JSON.parse(line) as Line)
    .filter(({ requestId }) => requestId === 'stranger-1');
  expect(lines).toMatchObject([
    { level: 'info', msg: 'request', code: 'ROUTER_SECRET_MISSING', outcome: 'NOT_DONE', httpStatus: 403 },
  ]);
});

test('logs malformed requests', async () => {
  await using stage = await openStage();

  await fetch(`${stage.url}/%zz`);
  const socket = await openSocket(stage.url);
  socket.end('nonsense\r\n\r\n');
  await text(socket);

  expect(stage.lines.filter((line) => line.includes('Refused a malformed request'))).toMatchObject(
    Array(2).fill(expect.stringContaining('"httpStatus":400')),
  );
});

test('logs a request that was aborted at shutdown', async () => {
  const stage = await openStage({ SHUTDOWN_TIMEOUT_MS: '1', ZITADEL_TIMEOUT_MS: '300000' });
  stage.zitadel.misbehaveWhenWriting({ hold: new Promise(() => {}) });

  const call = stage.resend();
  await stage.zitadel.written(1);
  await Promise.all([
    expect(call).rejects.toThrow(),
    expect(stage.closeServer()).rejects.toThrow('in-flight requests were aborted'),
  ]);

  expect(requestLines(stage.lines)).toMatchObject([
    { level: 'warn', code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST', outcome: 'UNKNOWN' },
  ]);
  await stage.zitadel[Symbol.asyncDispose]();
});

test("ranks its own faults above ZITADEL's, and those above the client's", () => {
  const record = new RequestRecord('1', 'POST', '/graphql', undefined);

  record.failures = (['NOT_FOUND', 'UPSTREAM_ERROR', 'INTERNAL_SERVER_ERROR'] as const).map(
    (code) => new Failure({ code }),
  );
  expect(record.code).toBe('INTERNAL_SERVER_ERROR');
  record.failures = (['NOT_FOUND', 'UPSTREAM_ERROR', 'FORBIDDEN'] as const).map((code) => new Failure({ code }));
  expect(record.code).toBe('UPSTREAM_ERROR');
});

test.for(
  [
    ['/graphql'],
    ['/query'],
    ['/api/v1/graphql/'],
    ['/.well-known/security.txt'],
    ['/a'.repeat(32)],
    ['/query?access_token=S3CR3T', '/query'],
    // Phone numbers, codes, tokens and control characters; an absolute URL with a password; a path that is too long.
    ...['/+41791234567', '/41791234567', '/41-79-123-45-67', '/4/1/7/9/1', '/7QK2ZD', '/QKZDAB', '/%2B4179', '/a%0Ab'],
    ...['/eyjhbgcioijsuzi1niisinr5', '/a\nb', '/a b', 'http://user:password@host/a', '*', '', '/a'.repeat(32) + '/'],
  ].map((one) => (typeof one === 'string' ? [one, 'other'] : one)) as [string, string?][],
)('logs the path %j only if it is harmless', ([url, path = url]) => expect(safePath(url)).toBe(path));

test('logs at the level of the most severe error', async () => {
  await using stage = await openStage();
  stage.zitadel.misbehave({ answer: { status: 502 } });

  const remove = (userId: string) => `removeContactPhone(userId: "${userId}") { user { id } }`;
  await post(stage.graphql, { query: `mutation { a: ${remove('..')} b: ${remove('1')} c: ${remove('..')} }` }, manager);

  expect(requestLines(stage.lines)).toMatchObject([
    {
      level: 'warn',
      code: 'UPSTREAM_UNAVAILABLE',
      reason: 'SAYS_UNAVAILABLE',
      outcome: 'UNKNOWN',
      errors: 3,
      field: 'removeContactPhone',
    },
  ]);
});

test('writes only what people need with LOG_FORMAT=pretty', async () => {
  const written = new PassThrough({ encoding: 'utf8' });
  const logger = await createLogger({ level: 'info', format: 'pretty' }, written);

  logger.info(
    { requestId: '1', operation: 'ContactPhone', field: 'contactPhone', code: 'OK', totalMs: 12.3 },
    'request',
  );
  logger.info({ code: 'NOT_FOUND', zitadelErrorId: 'QUERY-Dfbg2', totalMs: 1 }, 'request');
  logger.info({ limits: { SMS_LIMITS: '1/30s,5/10m', ZITADEL_TIMEOUT_MS: 10_000 } }, 'Effective limits');
  logger.error({ err: new TypeError('a fault', { cause: new Error('S3CR3T') }) }, 'Unexpected error');

  const limited = { operation: 'Resend', code: 'RATE_LIMITED', reason: 'SMS_TO_USER', outcome: 'NOT_DONE', totalMs: 3 };
  logger.info(limited, 'request');
  const refused = { method: 'GET', path: '/query', code: 'BAD_REQUEST', refusal: 'Not found.', totalMs: 1 };
  logger.warn(refused, 'request');

  const plain = stripVTControlCharacters(String(written.read()));
  expect(plain).toContain('INFO: Resend RATE_LIMITED SMS_TO_USER NOT_DONE in 3 ms\n');
  expect(plain).toContain('WARN: GET /query BAD_REQUEST in 1 ms Not found.\n');
  expect(plain).toMatch(/^\[\d\d:\d\d:\d\d\] INFO: ContactPhone OK in 12 ms\n/);
  expect(plain).toContain('INFO: request NOT_FOUND QUERY-Dfbg2 in 1 ms\n');
  expect(plain).toContain('INFO: Effective limits SMS_LIMITS=1/30s,5/10m ZITADEL_TIMEOUT_MS=10000\n');
  expect(plain).toMatch(/ERROR: Unexpected error\n +err: .*"type": "TypeError",\n +"message": "a fault"/s);
});

test('logs why a call got no answer, or what is wrong with the shape of its answer', async () => {
  await using unreachable = await openStage({ ZITADEL_URL: 'http://127.0.0.1:1' });
  await unreachable.resend({ mode: 'RETURN_CODE' });
  await using odd = await openStage();
  odd.zitadel.misbehave(answered({ details: { changeDate: 'yesterday' } }));
  await odd.resend({ mode: 'RETURN_CODE' });

  const [connection, shape] = [unreachable, odd].map(({ lines }) => requestLines(lines)[0]?.['err']);
  expect(connection).toMatchObject({
    message: 'ResendPhoneCode: unreachable',
    cause: { message: 'connect ECONNREFUSED 127.0.0.1:1' },
  });
  expect(shape).toMatchObject({
    message: 'ResendPhoneCode: malformed (HTTP 200): details.changeDate: Invalid ISO datetime',
  });
});

test("logs the usual cause of an error besides ZITADEL's message", async () => {
  const { logged } = await failureOf(
    answered(
      {
        code: 7,
        message: 'Text',
        details: [{ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id: 'AUTH-Bs7Ds' }],
      },
      403,
    ),
    'set',
  );

  expect(logged).toBe(
    "SetPhone: rejected (HTTP 403, code 7): Text; usually this means that ZITADEL's database is failing",
  );
});
