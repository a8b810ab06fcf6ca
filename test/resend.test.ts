import { expect, test } from 'vitest';
import { instanceHost } from '../src/embedded-zitadel/routes.js';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { bearer, manager, openStage, unverified } from './support/stage.js';
import { messageOf } from './support/zitadel.js';

const { organisation, phone } = users.unverified;

test('sends the code by SMS by default, after a read of the user', async () => {
  await using stage = await openStage({}, { now: () => Date.parse('2026-01-02T03:04:05.678Z') });

  const answer = await stage.resend();

  expect(answer).toMatchObject({ status: 200, errors: undefined });
  expect(answer.data?.resendContactPhoneCode).toEqual({
    details: { sequence: '2', changeDate: '2026-01-02T03:04:05.678042Z', resourceOwner: organisation },
    verificationCode: null,
    resendAvailableAt: null,
  });
  expect(stage.zitadel.calls.map((call) => [call.rpc, call.userId, messageOf(call)])).toEqual([
    ['GetUserByID', unverified, {}],
    ['ResendPhoneCode', unverified, { sendCode: {} }],
  ]);
  expect(stage.zitadel.outbox).toEqual([
    { userId: unverified, number: phone.number, code: stage.zitadel.pendingCode(unverified) },
  ]);
});

test('returns the code to a caller who will deliver it', async () => {
  await using stage = await openStage();

  const answer = await stage.resend({ mode: 'RETURN_CODE' });

  expect(answer.data?.resendContactPhoneCode?.verificationCode).toMatch(/^[A-Z0-9]{6}$/);
  expect(answer.data?.resendContactPhoneCode?.verificationCode).toBe(stage.zitadel.pendingCode(unverified));
  expect(stage.zitadel.calls.map((call) => [call.rpc, messageOf(call)])).toEqual([
    ['ResendPhoneCode', { returnCode: {} }],
  ]);
  expect(stage.zitadel.outbox).toEqual([]);
});

test('lets users resend to themselves by SMS, but not see the code', async () => {
  await using stage = await openStage();
  const self = bearer(tokens.self.token);

  const sent = await stage.resend({ mode: 'SEND_CODE' }, self);
  const returned = await stage.resend({ mode: 'RETURN_CODE' }, self);

  expect(sent.errors).toBeUndefined();
  expect(returned.data).toEqual({ resendContactPhoneCode: null });
  expect(returned.errors?.[0]?.extensions).toMatchObject({
    code: 'FORBIDDEN',
    reason: 'PERMISSION_MISSING',
    outcome: 'NOT_DONE',
  });
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode', 'ResendPhoneCode']);
  expect(stage.zitadel.outbox).toHaveLength(1);
});

const withBody = (body: object) => ({
  'content-type': 'application/json',
  'content-length': String(JSON.stringify(body).length),
});
const connectVersion = { 'connect-protocol-version': '1' };

test.for([
  ['rest', {}, withBody({ sendCode: {} })],
  [
    'connect',
    { ...connectVersion, ...withBody({ userId: unverified }) },
    { ...connectVersion, ...withBody({ userId: unverified, sendCode: {} }) },
  ],
] as const)("forwards only four of the caller's headers: %s", async ([ZITADEL_API, ofRead, ofWrite]) => {
  await using stage = await openStage({ ZITADEL_API });
  const forwarded = {
    ...manager,
    'accept-language': 'de-CH, fr;q=0.5',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    tracestate: 'vendor=value',
  };
  const ignored = {
    cookie: 'a=b',
    'user-agent': 'curl',
    'x-zitadel-orgid': '1',
    'x-forwarded-for': '192.0.2.1',
    baggage: 'a=b',
  };

  const answer = await stage.resend({}, { ...ignored, ...forwarded });

  expect(answer.errors).toBeUndefined();
  const inBoth = {
    ...forwarded,
    host: new URL(stage.zitadel.url).host,
    connection: 'keep-alive',
    accept: 'application/json',
    'accept-encoding': 'identity',
  };
  expect(stage.zitadel.calls.map(({ headers }) => headers)).toEqual([
    { ...inBoth, ...ofRead },
    { ...inBoth, ...ofWrite },
  ]);
});

test('does not forward a header that ZITADEL cannot accept, but still sends the code', async () => {
  await using stage = await openStage();

  const answer = await stage.resend(
    {},
    { ...manager, 'accept-language': 'dé', traceparent: 'é', tracestate: 'a=\u00ff' },
  );

  expect(answer.errors).toBeUndefined();
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode']);
  for (const { headers } of stage.zitadel.calls) {
    expect([headers['accept-language'], headers['traceparent'], headers['tracestate']]).toEqual(
      Array(3).fill(undefined),
    );
  }
});

test('names the instance when ZITADEL is called at an internal address', async () => {
  await using right = await openStage({ ZITADEL_INSTANCE_HOST: instanceHost });
  await using wrong = await openStage({ ZITADEL_INSTANCE_HOST: 'elsewhere.example.com' });

  expect((await right.resend()).errors).toBeUndefined();
  expect(right.zitadel.calls.map(({ headers }) => headers['x-zitadel-instance-host'])).toEqual([
    instanceHost,
    instanceHost,
  ]);
  expect((await wrong.resend()).errors?.[0]?.extensions).toEqual({
    code: 'UPSTREAM_MISCONFIGURED',
    reason: 'INSTANCE_UNKNOWN',
    outcome: 'NOT_DONE',
    zitadel: { code: 5, status: 'NOT_FOUND', httpStatus: 404 },
  });
});

test.for([
  ['rest', `/v2/users/${unverified}`, `/v2/users/${unverified}/phone/resend`],
  ['connect', '/zitadel.user.v2.UserService/GetUserByID', '/zitadel.user.v2.UserService/ResendPhoneCode'],
])('keeps the base path of ZITADEL_URL: %s', async ([ZITADEL_API = '', ofRead, ofWrite]) => {
  await using upstream = await openStage();
  for (const base of ['/auth/v1', '/auth/v1/']) {
    await using stage = await openStage({ ZITADEL_API, ZITADEL_URL: upstream.zitadel.url + base });
    // There is nothing at this path, so an SMS gets no further than the read.
    await stage.resend({ mode: 'SEND_CODE' });
    await stage.resend({ mode: 'RETURN_CODE' });
  }

  const paths = [`/auth/v1${ofRead}`, `/auth/v1${ofWrite}`];
  expect(upstream.zitadel.calls.map(({ path }) => path)).toEqual([...paths, ...paths]);
});

test("returns ZITADEL's answer without loss", async () => {
  await using stage = await openStage();
  const details = { sequence: '18446744073709551615', changeDate: '2025-08-07T06:05:04.123456Z', resourceOwner: '3' };
  const creationDate = '2025-01-01T00:00:00Z';
  const answer = (body: object) => ({
    answer: { status: 200, headers: { 'content-type': 'application/json; charset=utf-8' }, body: JSON.stringify(body) },
  });
  stage.zitadel.misbehaveWhenWriting(
    answer({ details: { ...details, creationDate }, unknown: 1 }),
    answer({ details: { changeDate: '2025-08-07T06:05:04.123456789Z' } }),
    answer({ details: { changeDate: '2025-08-07T06:05:04Z', sequence: null }, verificationCode: null }),
  );

  const whole = await stage.resend();
  const zeroValuesLeftOut = await stage.resend();
  const nulls = await stage.resend();

  expect(whole.data?.resendContactPhoneCode?.details).toEqual(details);
  expect(zeroValuesLeftOut.data?.resendContactPhoneCode?.details).toEqual({
    sequence: '0',
    changeDate: '2025-08-07T06:05:04.123456789Z',
    resourceOwner: '',
  });
  expect(nulls.data?.resendContactPhoneCode).toMatchObject({ details: { sequence: '0' }, verificationCode: null });
});
