import { gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { stopClock } from './support/clock.js';
import { shareStage } from './support/shared-stage.js';
import { unverified } from './support/stage.js';
import { answered } from './support/zitadel.js';

// How answers are read. What each of them means: see failures.test.ts.

const shared = shareStage();

const json = { 'content-type': 'application/json' };
const unreadable = { code: 'UPSTREAM_ERROR', outcome: 'UNKNOWN', zitadel: { httpStatus: 200 } };
const quota = { code: 'RATE_LIMITED', reason: 'UPSTREAM_QUOTA', outcome: 'NOT_DONE', zitadel: { httpStatus: 429 } };
const forbidden = { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING', outcome: 'NOT_DONE' };

test.for([
  ['is a page', '<html><body>Not ZITADEL</body></html>'],
  ['is cut short', '{"details":{"sequence":"1","cha'],
  ['is empty', ''],
  ['is a list', '[]'],
  ['has no details', '{"verificationCode":"ABC123"}'],
  ['has no change date', '{"details":{"sequence":"1"}}'],
  ['has an invalid date', '{"details":{"changeDate":"2025-02-30T00:00:00Z"}}'],
  ['has a code that is not a string', '{"details":{"changeDate":"2025-02-03T00:00:00Z"},"verificationCode":123456}'],
] as const)('does not accept an answer that %s', async ([, body]) => {
  const stage = shared();
  stage.zitadel.misbehave({ answer: { status: 200, headers: json, body } });

  const { status, data, errors } = await stage.resend({ mode: 'RETURN_CODE' });

  expect({ status, data }).toEqual({ status: 200, data: { resendContactPhoneCode: null } });
  expect(errors?.map((error) => error.extensions)).toEqual([unreadable]);
  expect(stage.zitadel.calls).toMatchObject([
    { rpc: 'ResendPhoneCode', userId: unverified, body: expect.stringContaining('"returnCode":{}') as string },
  ]);
});

test('reads an error whose details are nested as deeply as fits into an answer', async () => {
  const stage = shared();
  const details = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
  const body = `{"code":7,"message":"Text","details":${details}}`;
  stage.zitadel.misbehave({ answer: { status: 403, headers: json, body } });

  const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

  const zitadel = { code: 7, status: 'PERMISSION_DENIED', httpStatus: 403, message: 'Text' };
  expect(errors?.map(({ extensions }) => extensions)).toEqual([{ ...forbidden, zitadel }]);
});

test.for(['soon', '-5', '1.5', '7, 8', '9'.repeat(400), '2031-01-01', 'Mon, 99 Foo 2026 00:00:00 GMT'])(
  'ignores an invalid Retry-After: %s',
  async (retryAfter) => {
    const stage = shared();
    stage.zitadel.misbehave({ answer: { status: 429, headers: { 'retry-after': retryAfter } } });

    const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

    expect(errors?.[0]?.extensions).toEqual(quota);
  },
);

const success = '{"details":{"changeDate":"2025-08-07T06:05:04Z"}}';

test.for(['gzip', 'GZip', 'x-gzip'])('asks for no encoding, but reads an answer in %s anyway', async (encoding) => {
  const stage = shared();
  const headers = { ...json, 'content-encoding': encoding };
  stage.zitadel.misbehave({ answer: { status: 200, headers, body: gzipSync(success) } });

  const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

  expect(errors).toBeUndefined();
  expect(stage.zitadel.calls).toMatchObject([{ headers: { 'accept-encoding': 'identity' } }]);
});

test.for([
  ['an unsupported encoding', 'zstd', success],
  ['a damaged gzip body', 'gzip', success],
  ['a gzip body of more than 1 MiB', 'gzip', gzipSync(success.padEnd(1024 * 1024 + 1))],
] as [string, string, string | Buffer][])('cannot read %s, and logs the encoding', async ([, encoding, body]) => {
  const stage = shared();
  stage.zitadel.misbehave({
    answer: { status: 200, headers: { ...json, 'content-encoding': encoding }, body },
  });

  const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

  expect(errors?.[0]?.extensions).toEqual(unreadable);
  expect(stage.lines.join('')).toContain(`malformed (HTTP 200): content encoding ${encoding}`);
});

test('passes on details of any type, known or not, and finds the id in them', async () => {
  const stage = shared();
  const details = [
    { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'X', id: 'not-ours', nested: { deep: [1, null] } },
    { '@type': 'type.googleapis.com/zitadel.error.v2.ErrorDetail', slug: 'phone-not-found' },
    'not even an object',
    { '@type': 'type.googleapis.com/zitadel.v1.CredentialsCheckError', id: 'COMMAND-x', failedAttempts: 3 },
  ];
  stage.zitadel.misbehave(answered({ code: 5, details }, 404));

  const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

  expect(errors?.[0]?.extensions).toEqual({
    code: 'NOT_FOUND',
    reason: 'USER_UNKNOWN',
    outcome: 'NOT_DONE',
    zitadel: { code: 5, status: 'NOT_FOUND', httpStatus: 404, id: 'COMMAND-x', details },
  });
});

test("limits what a client sees of ZITADEL's error, so that thousands fit in one answer", async () => {
  const stage = shared();
  const long = 'x'.repeat(500_000);
  const detail = { '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', message: 'text' };
  const details = [
    { ...detail, id: 'COMMAND-x' },
    { '@type': 'type.googleapis.com/other', long },
  ];
  stage.zitadel.misbehave(
    answered({ code: 7, message: long, details }, 403),
    answered({ code: 7, details: [{ ...detail, id: long }] }, 403),
  );

  const said = await stage.resend({ mode: 'RETURN_CODE' });
  const named = await stage.resend({ mode: 'RETURN_CODE' });

  const zitadel = { code: 7, status: 'PERMISSION_DENIED', httpStatus: 403 };
  expect(said.errors?.[0]?.extensions).toEqual({
    ...forbidden,
    zitadel: { ...zitadel, id: 'COMMAND-x', message: 'x'.repeat(300) },
  });
  expect(named.errors?.[0]?.extensions).toEqual({ ...forbidden, zitadel });
  expect(stage.lines.join('').length).toBeLessThan(10_000);
});

test('reports 0 seconds for a Retry-After that has passed', async () => {
  const stage = shared();
  const past = 'Fri, 31 Dec 1999 23:59:59 GMT';
  stage.zitadel.misbehave({ answer: { status: 429, headers: { 'retry-after': past } } });

  const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

  expect(errors?.[0]?.extensions).toEqual({ ...quota, retryAfter: 0 });
});

test('reports the seconds until the date of a Retry-After', async () => {
  stopClock();
  const stage = shared();
  const inAnHour = new Date(Date.now() + 3_600_000).toUTCString();
  stage.zitadel.misbehave({ answer: { status: 429, headers: { 'retry-after': inAnHour } } });

  const { errors } = await stage.resend({ mode: 'RETURN_CODE' });

  expect(errors?.[0]?.extensions).toEqual({ ...quota, retryAfter: 3_600 });
});
