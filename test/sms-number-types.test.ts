import { expect, test } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import { openStage, unverified } from './support/stage.js';
import { answered } from './support/zitadel.js';

const { userId } = users.phoneless;
const message = 'SMS cannot be sent to this kind of phone number, or to its country.';
const typedNotAllowed = {
  code: 'BAD_USER_INPUT',
  reason: 'NUMBER_NOT_ALLOWED',
  outcome: 'NOT_DONE',
  argument: 'number',
};
/** If it is the number that the user has already, no argument is at fault. */
const notAllowed = { code: 'FAILED_PRECONDITION', reason: 'NUMBER_NOT_ALLOWED', outcome: 'NOT_DONE' };

/** A valid number of each type. */
const ofType = {
  MOBILE: '+41791000001',
  FIXED_LINE_OR_MOBILE: '+12025550123',
  FIXED_LINE: '+41442681234',
  VOIP: '+815012345678',
  PERSONAL_NUMBER: '+447012345678',
  TOLL_FREE: '+41800123456',
  SHARED_COST: '+41840123456',
  PREMIUM_RATE: '+41900123456',
  PAGER: '+41740123456',
  UAN: '+41581234567',
  VOICEMAIL: '+41860791234567',
};
/** A Swiss number that libphonenumber's metadata does not cover. It may have been set elsewhere. */
const ofUnknownType = '+41981466019';
const refusedTypes = ['FIXED_LINE', 'TOLL_FREE', 'SHARED_COST', 'PREMIUM_RATE', 'PAGER', 'UAN', 'VOICEMAIL'] as const;

const userWith = (phone: string) => answered({ user: { userId: unverified, human: { phone: { phone } } } });

test.for(refusedTypes)('sends no SMS to a number of type %s', async (type) => {
  await using stage = await openStage();
  const number = ofType[type];

  const set = await stage.run('set-contact-phone', { userId, number });
  expect(set).toMatchObject({ status: 200, data: { setContactPhone: null } });
  expect(set.errors).toMatchObject([{ message, path: ['setContactPhone'] }]);
  expect(set.errors?.[0]?.extensions).toEqual(typedNotAllowed);
  expect(stage.rpcs()).toEqual([]);

  stage.zitadel.misbehave(userWith(number));
  const resent = await stage.resend();
  expect(resent.errors).toMatchObject([{ message, path: ['resendContactPhoneCode'] }]);
  expect(resent.errors?.[0]?.extensions).toEqual(notAllowed);
  expect(stage.rpcs()).toEqual(['GetUserByID']);
  expect(stage.zitadel.outbox).toEqual([]);
});

test('sends SMS to all other types of numbers', async () => {
  await using stage = await openStage();
  const numbers = Object.entries(ofType).filter(([type]) => !refusedTypes.some((refused) => refused === type));

  for (const [, number] of numbers) {
    expect((await stage.run('set-contact-phone', { userId, number })).errors).toBeUndefined();
  }

  expect(stage.zitadel.outbox.map(({ number }) => number)).toEqual(numbers.map(([, number]) => number));
  expect(numbers.map(([type]) => type)).toEqual(['MOBILE', 'FIXED_LINE_OR_MOBILE', 'VOIP', 'PERSONAL_NUMBER']);
});

test('sends SMS to the listed types of numbers only', async () => {
  await using stage = await openStage({ SMS_NUMBER_TYPES: 'PREMIUM_RATE, FIXED_LINE' });

  for (const type of ['PREMIUM_RATE', 'FIXED_LINE'] as const) {
    expect((await stage.run('set-contact-phone', { userId, number: ofType[type] })).errors).toBeUndefined();
  }
  const refused = await stage.run('set-contact-phone', { userId, number: ofType.MOBILE });

  expect(refused.errors?.map(({ extensions }) => extensions)).toEqual([typedNotAllowed]);
});

test('resends to a number of unknown type, unless UNKNOWN is not listed', async () => {
  await using stage = await openStage();
  await using strict = await openStage({ SMS_NUMBER_TYPES: 'MOBILE' });
  for (const { zitadel } of [stage, strict]) zitadel.misbehave(userWith(ofUnknownType));

  const sent = await stage.resend();
  const refused = await strict.resend();

  expect(sent.errors).toBeUndefined();
  expect(stage.rpcs()).toEqual(['GetUserByID', 'ResendPhoneCode']);
  expect(refused.errors?.map(({ extensions }) => extensions)).toEqual([notAllowed]);
  expect(strict.rpcs()).toEqual(['GetUserByID']);
});

test('sends no SMS to text that is no phone number, or to a number of unknown country', async () => {
  await using stage = await openStage();
  // The last one has the calling code of Great Britain and others, but is in the ranges of none of them.
  const odd = ['no number at all', 'call +41791234567', '+999123456789', '+447700900123'];

  for (const number of odd) {
    stage.zitadel.misbehave(userWith(number));
    expect((await stage.resend()).errors?.map(({ extensions }) => extensions)).toEqual([notAllowed]);
  }

  expect(stage.rpcs()).toEqual(odd.map(() => 'GetUserByID'));
});

test('sends no SMS to a number without a country, unless 001 is listed', async () => {
  await using stage = await openStage();
  await using open = await openStage({ SMS_COUNTRIES: 'CH,001' });
  // Satellite networks. The last one is toll-free.
  const [iridium, inmarsat, free] = ['+881612345678', '+870773111632', '+80012345678'];

  for (const number of [iridium, inmarsat, free]) {
    const refused = await stage.run('set-contact-phone', { userId, number });
    expect(refused.errors?.map(({ extensions }) => extensions)).toEqual([typedNotAllowed]);
  }
  stage.zitadel.misbehave(userWith(iridium));
  expect((await stage.resend()).errors?.map(({ extensions }) => extensions)).toEqual([notAllowed]);
  expect(stage.rpcs()).toEqual(['GetUserByID']);

  for (const number of [iridium, inmarsat]) {
    expect((await open.run('set-contact-phone', { userId, number })).errors).toBeUndefined();
  }
  expect((await open.run('set-contact-phone', { userId, number: free })).errors).toHaveLength(1);
  open.zitadel.misbehave(userWith('+447700900123'));
  expect((await open.resend()).errors?.map(({ extensions }) => extensions)).toEqual([notAllowed]);
  expect(open.zitadel.outbox.map(({ number }) => number)).toEqual([iridium, inmarsat]);
});

test('allows every number if no SMS is sent', async () => {
  await using stage = await openStage();

  const marked = await stage.run('set-contact-phone', { userId, number: '+881612345678', mode: 'MARK_VERIFIED' });
  const returned = await stage.run('set-contact-phone', { userId, number: ofType.PREMIUM_RATE, mode: 'RETURN_CODE' });
  const resent = await stage.resend({ userId, mode: 'RETURN_CODE' });

  expect([marked.errors, returned.errors]).toEqual([undefined, undefined]);
  expect(resent.data?.resendContactPhoneCode?.verificationCode).toBe(stage.zitadel.pendingCode(userId));
});
