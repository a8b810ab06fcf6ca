import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { grpcCodes } from '../src/zitadel/grpc-code.js';
import { openStage, unverified } from './support/stage.js';

const json = { 'content-type': 'application/json' };
const html = { 'content-type': 'text/html; charset=utf-8' };
const page = '<html><body>Not ZITADEL</body></html>';
const refusal = (body: object) => JSON.stringify(body);

interface Row {
  answer: { status: number; headers?: Record<string, string>; body?: string };
  extensions: object;
}

const detail = { '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id: 'TEST-1', message: 'text' };
const known = (code: number, httpStatus: number) => ({ code, status: grpcCodes[code], httpStatus, id: 'TEST-1' });

/** A refusal for each google.rpc.Code, with the HTTP status that ZITADEL uses for it. */
const codes: [code: number, httpStatus: number, expected: string, isUnknown?: boolean][] = [
  [1, 499, 'UPSTREAM_ERROR', true],
  [2, 500, 'UPSTREAM_ERROR', true],
  [3, 400, 'BAD_USER_INPUT'],
  [4, 504, 'UPSTREAM_TIMEOUT', true],
  [5, 404, 'NOT_FOUND'],
  [6, 409, 'FAILED_PRECONDITION'],
  [7, 403, 'FORBIDDEN'],
  [8, 429, 'RATE_LIMITED'],
  [9, 400, 'FAILED_PRECONDITION'],
  [10, 409, 'FAILED_PRECONDITION'],
  [11, 400, 'FAILED_PRECONDITION'],
  [12, 501, 'UPSTREAM_MISCONFIGURED'],
  [13, 500, 'UPSTREAM_ERROR', true],
  [14, 503, 'UPSTREAM_UNAVAILABLE', true],
  [15, 500, 'UPSTREAM_ERROR', true],
  [16, 401, 'UNAUTHENTICATED'],
  // The code in the body decides, not the HTTP status.
  [9, 404, 'FAILED_PRECONDITION'],
  [14, 400, 'UPSTREAM_UNAVAILABLE', true],
  [12, 405, 'UPSTREAM_MISCONFIGURED'],
  [7, 500, 'FORBIDDEN', true],
  // Numbers that are not in google.rpc.Code.
  [17, 400, 'UPSTREAM_ERROR'],
  [99, 500, 'UPSTREAM_ERROR', true],
];

const rows: Record<string, Row> = {
  'a code 5 without an id': {
    answer: { status: 404, headers: json, body: refusal({ code: 5, message: 'Not Found' }) },
    extensions: { code: 'UPSTREAM_MISCONFIGURED', zitadel: { code: 5, status: 'NOT_FOUND', httpStatus: 404 } },
  },
  'a 404 page': {
    answer: { status: 404, headers: html, body: page },
    extensions: { code: 'UPSTREAM_MISCONFIGURED', zitadel: { httpStatus: 404 } },
  },
  'a 401 page': {
    answer: { status: 401, headers: html, body: page },
    extensions: { code: 'UPSTREAM_MISCONFIGURED', zitadel: { httpStatus: 401 } },
  },
  'a 429 page': {
    answer: { status: 429, headers: { ...html, 'retry-after': '20' }, body: page },
    extensions: { code: 'RATE_LIMITED', zitadel: { httpStatus: 429 }, retryAfter: 20 },
  },
  'a 429 with a date in the past': {
    answer: { status: 429, headers: { 'retry-after': 'Fri, 31 Dec 1999 23:59:59 GMT' } },
    extensions: { code: 'RATE_LIMITED', zitadel: { httpStatus: 429 }, retryAfter: 0 },
  },
  'an exhausted quota with a time to wait': {
    answer: { status: 429, headers: { ...json, 'retry-after': '7' }, body: refusal({ code: 8, details: [detail] }) },
    extensions: { code: 'RATE_LIMITED', zitadel: { ...known(8, 429), details: [detail] }, retryAfter: 7 },
  },
  'a 500 page': {
    answer: { status: 500, headers: html, body: page },
    extensions: { code: 'UPSTREAM_MISCONFIGURED', zitadel: { httpStatus: 500 }, outcome: 'UNKNOWN' },
  },
  'a permanent redirect': {
    answer: { status: 308, headers: { location: 'https://example.com/' } },
    extensions: { code: 'UPSTREAM_MISCONFIGURED', zitadel: { httpStatus: 308 } },
  },
  'a redirect with the content type of JSON': {
    answer: { status: 302, headers: { ...json, location: '/' }, body: refusal({ code: 5, details: [detail] }) },
    extensions: { code: 'UPSTREAM_MISCONFIGURED', zitadel: { httpStatus: 302 } },
  },
  'a 200 page': {
    answer: { status: 200, headers: html, body: page },
    extensions: { code: 'UPSTREAM_MISCONFIGURED', zitadel: { httpStatus: 200 }, outcome: 'UNKNOWN' },
  },
  'a list': {
    answer: { status: 400, headers: json, body: '[]' },
    extensions: { code: 'UPSTREAM_ERROR', zitadel: { httpStatus: 400 } },
  },
  'an error in the Connect protocol': {
    answer: { status: 404, headers: json, body: refusal({ code: 'not_found', message: 'text' }) },
    extensions: { code: 'UPSTREAM_ERROR', zitadel: { httpStatus: 404 } },
  },
  'a refusal without a code, classified by its HTTP status': {
    answer: { status: 403, headers: json, body: refusal({ message: 'text', details: [detail] }) },
    extensions: { code: 'FORBIDDEN', zitadel: { httpStatus: 403, id: 'TEST-1', message: 'text', details: [detail] } },
  },
  'a failure without a code, classified by its HTTP status': {
    answer: { status: 503, headers: json, body: '{}' },
    extensions: { code: 'UPSTREAM_UNAVAILABLE', zitadel: { httpStatus: 503 }, outcome: 'UNKNOWN' },
  },
  "a load balancer's 502 in JSON": {
    answer: { status: 502, headers: json, body: refusal({ message: 'Bad Gateway' }) },
    extensions: { code: 'UPSTREAM_UNAVAILABLE', zitadel: { httpStatus: 502 }, outcome: 'UNKNOWN' },
  },
  'a refusal whose other fields are null': {
    answer: { status: 404, headers: json, body: refusal({ code: 7, message: null, details: null }) },
    extensions: { code: 'FORBIDDEN', zitadel: { code: 7, status: 'PERMISSION_DENIED', httpStatus: 404 } },
  },
  'an unmapped HTTP status': {
    answer: { status: 418, headers: json, body: '{}' },
    extensions: { code: 'UPSTREAM_ERROR', zitadel: { httpStatus: 418 } },
  },
};

/** A proxy in front of ZITADEL that answers in its place. */
for (const [status, code] of [
  [502, 'UPSTREAM_UNAVAILABLE'],
  [503, 'UPSTREAM_UNAVAILABLE'],
  [504, 'UPSTREAM_TIMEOUT'],
] as const) {
  rows[`a load balancer's ${status}`] = {
    answer: { status, headers: html, body: page },
    extensions: { code, zitadel: { httpStatus: status }, outcome: 'UNKNOWN' },
  };
}

/** A 200 with the content type of JSON but the wrong content. */
for (const [what, body] of [
  ['is a page', page],
  ['is cut short', '{"details":{"sequence":"1","cha'],
  ['is empty', ''],
  ['has no details', '{"verificationCode":"ABC123"}'],
  ['has no change date', '{"details":{"sequence":"1"}}'],
  ['has an invalid date', '{"details":{"changeDate":"2025-02-30T00:00:00Z"}}'],
  ['has a code that is not a string', '{"details":{"changeDate":"2025-02-03T00:00:00Z"},"verificationCode":123456}'],
] as const) {
  rows[`a 200 whose body ${what}`] = {
    answer: { status: 200, headers: json, body },
    extensions: { code: 'UPSTREAM_ERROR', zitadel: { httpStatus: 200 }, outcome: 'UNKNOWN' },
  };
}

for (const [code, httpStatus, expected, isUnknown] of codes) {
  const said = { message: 'text', details: [detail] };
  const { status, ...numbers } = known(code, httpStatus);
  rows[`code ${code} with HTTP ${httpStatus}`] = {
    answer: { status: httpStatus, headers: json, body: refusal({ code, ...said }) },
    extensions: {
      code: expected,
      zitadel: { ...numbers, ...(status && { status }), ...(!expected.startsWith('UPSTREAM_') && said) },
      ...(isUnknown && { outcome: 'UNKNOWN' }),
    },
  };
}

test.for(Object.entries(rows))('classifies %s', async ([, { answer, extensions }]) => {
  await using stage = await openStage();
  stage.zitadel.misbehave({ answer });

  const { status, data, errors } = await stage.resend();

  expect({ status, data }).toEqual({ status: 200, data: { resendContactPhoneCode: null } });
  expect(errors?.map((error) => error.extensions)).toEqual([extensions]);
  expect(stage.zitadel.calls).toMatchObject([
    { method: 'POST', path: `/v2/users/${unverified}/phone/resend`, body: '{"sendCode":{}}' },
  ]);
});

test.for(['soon', '-5', '1.5', '7, 8', '9'.repeat(400), '2031-01-01', 'Mon, 99 Foo 2026 00:00:00 GMT'])(
  'ignores an invalid Retry-After: %s',
  async (retryAfter) => {
    await using stage = await openStage();
    stage.zitadel.misbehave({ answer: { status: 429, headers: { 'retry-after': retryAfter } } });

    const { errors } = await stage.resend();

    expect(errors?.[0]?.extensions).toEqual({ code: 'RATE_LIMITED', zitadel: { httpStatus: 429 } });
  },
);

const success = '{"details":{"changeDate":"2025-08-07T06:05:04Z"}}';

test.for(['gzip', 'GZip', 'x-gzip'])('asks for no encoding, but reads an answer in %s anyway', async (encoding) => {
  await using stage = await openStage();
  const headers = { ...json, 'content-encoding': encoding };
  stage.zitadel.misbehave({ answer: { status: 200, headers, body: gzipSync(success) } });

  const { errors } = await stage.resend();

  expect(errors).toBeUndefined();
  expect(stage.zitadel.calls).toMatchObject([{ headers: { 'accept-encoding': 'identity' } }]);
});

test.for([
  ['an unsupported encoding', 'zstd', success],
  ['a damaged gzip body', 'gzip', success],
  ['a gzip body of more than 1 MiB', 'gzip', gzipSync(success.padEnd(1024 * 1024 + 1))],
] as [string, string, string | Buffer][])('cannot read %s, and logs the encoding', async ([, encoding, body]) => {
  await using stage = await openStage();
  stage.zitadel.misbehave({
    answer: { status: 200, headers: { ...json, 'content-encoding': encoding }, body },
  });

  const { errors } = await stage.resend();

  expect(errors?.[0]?.extensions).toEqual({ code: 'UPSTREAM_ERROR', zitadel: { httpStatus: 200 }, outcome: 'UNKNOWN' });
  expect(stage.lines.join('')).toContain(`malformed (HTTP 200): content encoding ${encoding}`);
});

test('passes on details of any type, known or not, and finds the id in them', async () => {
  await using stage = await openStage();
  const details = [
    { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'X', id: 'not-ours', nested: { deep: [1, null] } },
    { '@type': 'type.googleapis.com/zitadel.error.v2.ErrorDetail', slug: 'phone-not-found' },
    'not even an object',
    { '@type': 'type.googleapis.com/zitadel.v1.CredentialsCheckError', id: 'COMMAND-x', failedAttempts: 3 },
  ];
  stage.zitadel.misbehave({ answer: { status: 404, headers: json, body: refusal({ code: 5, details }) } });

  const { errors } = await stage.resend();

  expect(errors?.[0]?.extensions).toEqual({
    code: 'NOT_FOUND',
    zitadel: { code: 5, status: 'NOT_FOUND', httpStatus: 404, id: 'COMMAND-x', details },
  });
});

test("limits what a client sees of ZITADEL's error, so that thousands fit in one answer", async () => {
  await using stage = await openStage();
  const long = 'x'.repeat(500_000);
  const details = [
    { ...detail, id: 'COMMAND-x' },
    { '@type': 'type.googleapis.com/other', long },
  ];
  stage.zitadel.misbehave(
    { answer: { status: 403, headers: json, body: refusal({ code: 7, message: long, details }) } },
    { answer: { status: 403, headers: json, body: refusal({ code: 7, details: [{ ...detail, id: long }] }) } },
  );

  const said = await stage.resend();
  const named = await stage.resend();

  const zitadel = { code: 7, status: 'PERMISSION_DENIED', httpStatus: 403 };
  expect(said.errors?.[0]?.extensions).toEqual({
    code: 'FORBIDDEN',
    zitadel: { ...zitadel, id: 'COMMAND-x', message: 'x'.repeat(300) },
  });
  expect(named.errors?.[0]?.extensions).toEqual({ code: 'FORBIDDEN', zitadel });
  expect(stage.lines.join('').length).toBeLessThan(10_000);
});

test('reports the seconds until the date of a Retry-After', async () => {
  await using stage = await openStage();
  const inAnHour = new Date(Date.now() + 3_600_000).toUTCString();
  stage.zitadel.misbehave({ answer: { status: 429, headers: { 'retry-after': inAnHour } } });

  const { errors } = await stage.resend();

  const extensions = errors?.[0]?.extensions;
  expect(extensions?.code === 'RATE_LIMITED' && extensions.retryAfter).toSatisfy(
    (left: number) => left > 3_000 && left <= 3_600,
  );
});
