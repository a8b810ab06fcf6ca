import { expect, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { bearer, manager, openStage, post, unverified } from './support/stage.js';
import { answered } from './support/zitadel.js';

const { userId } = users.phoneless;
const message = 'SMS cannot be sent to this kind of phone number, or to its country.';
/** For the number that the user has already: no argument is at fault. */
const notAllowed = { code: 'FAILED_PRECONDITION', reason: 'NUMBER_NOT_ALLOWED', outcome: 'NOT_DONE' };

test.for([
  ['Germany', '+49 151 12345678'],
  ['Liechtenstein, whose numbers used to be Swiss', '+423 660 123 456'],
  ['Guernsey, which shares the British calling code', '+44 7781 123456'],
  ['a satellite network without a country', '+870 773 111 632'],
] as const)('sends no SMS to a number from %s', async ([, number]) => {
  await using stage = await openStage({ SMS_COUNTRIES: 'CH,AT,GB' });

  const sent = await stage.run('set-contact-phone', { userId, number });

  expect(sent).toMatchObject({ status: 200, data: { setContactPhone: null } });
  expect(sent.errors).toMatchObject([{ message, path: ['setContactPhone'] }]);
  expect(sent.errors?.[0]?.extensions).toEqual({
    code: 'BAD_USER_INPUT',
    reason: 'NUMBER_NOT_ALLOWED',
    outcome: 'NOT_DONE',
    argument: 'number',
  });
  expect(stage.zitadel.calls).toEqual([]);
});

test('sets a number from any country if no SMS is sent', async () => {
  await using stage = await openStage({ SMS_COUNTRIES: 'CH' });

  const returned = await stage.run('set-contact-phone', { userId, number: '+43664123456', mode: 'RETURN_CODE' });
  const marked = await stage.run('set-contact-phone', { userId, number: '+43664123457', mode: 'MARK_VERIFIED' });

  expect([returned.errors, marked.errors]).toEqual([undefined, undefined]);
});

test('sends SMS to numbers from the listed countries', async () => {
  await using stage = await openStage({ SMS_COUNTRIES: 'CH, AT' });

  for (const number of ['+43664123456', '+41795550103']) {
    expect((await stage.run('set-contact-phone', { userId, number })).errors).toBeUndefined();
  }
  expect(stage.zitadel.outbox.map(({ number }) => number)).toEqual(['+43664123456', '+41795550103']);
});

test('sends no SMS by a resend either, no matter who set the number', async () => {
  await using stage = await openStage({ SMS_COUNTRIES: 'AT' });

  const sent = await stage.resend({ mode: 'SEND_CODE' });
  const returned = await stage.resend({ mode: 'RETURN_CODE' });

  expect(sent).toMatchObject({ status: 200, data: { resendContactPhoneCode: null } });
  expect(sent.errors).toMatchObject([{ message, path: ['resendContactPhoneCode'] }]);
  expect(sent.errors?.[0]?.extensions).toEqual(notAllowed);
  expect(returned.errors).toBeUndefined();
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode']);
  expect(stage.zitadel.outbox).toEqual([]);
});

test('resends by SMS to a number from a listed country, and finds no phone in any country if there is none', async () => {
  await using stage = await openStage({ SMS_COUNTRIES: 'CH' });

  const sent = await stage.resend();
  const none = await stage.resend({ userId });

  expect(sent.errors).toBeUndefined();
  expect(none.errors?.map(({ extensions }) => extensions)).toEqual([
    { code: 'FAILED_PRECONDITION', reason: 'NO_PHONE', outcome: 'NOT_DONE' },
  ]);
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode', 'GetUserByID', 'GetUserByID']);
  expect(stage.zitadel.outbox).toHaveLength(1);
});

test('sends no SMS to a number that it may not or cannot read', async () => {
  await using stage = await openStage({ SMS_COUNTRIES: 'CH' });
  stage.zitadel.misbehave({ hold: Promise.resolve() }, { answer: { status: 500 } }, answered({ user: {} }));

  const forbidden = await stage.resend({}, bearer(tokens.outsider.token));
  const failed = await stage.resend();
  const unreadable = await stage.resend();

  // Nothing was written.
  expect([forbidden, failed, unreadable].map(({ errors }) => errors?.[0]?.extensions)).toMatchObject([
    { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING', outcome: 'NOT_DONE' },
    { code: 'UPSTREAM_ERROR', outcome: 'NOT_DONE', zitadel: { httpStatus: 500 } },
    { code: 'UPSTREAM_ERROR', outcome: 'NOT_DONE', zitadel: { httpStatus: 200 } },
  ]);
  expect(failed.text + unreadable.text).not.toContain('may have been made');
  expect(stage.zitadel.calls.map(({ rpc, userId }) => [rpc, userId])).toEqual(
    Array.from({ length: 3 }, () => ['GetUserByID', unverified]),
  );
});

test('does not count an SMS to another country', async () => {
  await using stage = await openStage({ SMS_COUNTRIES: 'AT', SMS_LIMITS: '1/24h' });

  await stage.resend();
  await stage.run('set-contact-phone', { userId: unverified, number: '+41795550101' });
  const sent = await stage.run('set-contact-phone', { userId: unverified, number: '+43664123456' });

  expect(sent.errors).toBeUndefined();
});

test('ignores what the same request has read before', async () => {
  await using stage = await openStage({ SMS_COUNTRIES: 'CH' });
  const proper = { hold: Promise.resolve() };
  // Between the two resends, someone else sets another number.
  const elsewhere = answered({ user: { userId: unverified, human: { phone: { phone: '+43664123456' } } } });
  stage.zitadel.misbehave(proper, proper, elsewhere);
  const query = `mutation ($id: ID!) {
    first: resendContactPhoneCode(userId: $id, mode: RETURN_CODE) { user { contactPhone { number } } }
    second: resendContactPhoneCode(userId: $id) { verificationCode }
  }`;

  const { data, errors } = await post(stage.graphql, { query, variables: { id: unverified } }, manager);

  expect(data).toEqual({ first: { user: { contactPhone: { number: '+41791234567' } } }, second: null });
  expect(errors).toMatchObject([{ path: ['second'], message, extensions: notAllowed }]);
  expect(stage.zitadel.outbox).toEqual([]);
});

test('shows the phone as it is after the resend, not as it was when its country was checked', async () => {
  await using stage = await openStage({ SMS_COUNTRIES: 'CH' });
  const query = `mutation ($id: ID!) { resendContactPhoneCode(userId: $id) { user { contactPhone { number } } } }`;

  const { errors } = await post(stage.graphql, { query, variables: { id: unverified } }, manager);

  expect(errors).toBeUndefined();
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode', 'GetUserByID']);
});

test('sends no SMS to a number from an unknown country', async () => {
  await using stage = await openStage({ SMS_COUNTRIES: 'CH' });
  const user = (phone: string) => answered({ user: { userId: unverified, human: { phone: { phone } } } });
  stage.zitadel.misbehave(user('+870773111632'), user('no number at all'), user('call +41791234567'));

  for (const { errors } of [await stage.resend(), await stage.resend(), await stage.resend()]) {
    expect(errors?.map(({ extensions }) => extensions)).toEqual([notAllowed]);
  }
  expect(stage.zitadel.outbox).toEqual([]);
});
