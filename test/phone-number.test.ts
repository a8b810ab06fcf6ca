import { expect, test } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import { shareStage } from './support/shared-stage.js';
import { openStage, unverified } from './support/stage.js';
import { messageOf } from './support/zitadel.js';

const { userId } = users.phoneless;
/** For numbers that are refused. */
const shared = shareStage();

test.for([
  ['SEND_CODE', { sendCode: {} }, false, 1],
  ['RETURN_CODE', { returnCode: {} }, false, 0],
  ['MARK_VERIFIED', { isVerified: true }, true, 0],
  ['no mode', { sendCode: {} }, false, 1],
] as const)('sets a phone with %s', async ([given, verification, isVerified, sms]) => {
  await using stage = await openStage();
  const mode = given === 'no mode' ? undefined : given;

  const { status, data, errors } = await stage.run('set-contact-phone', { userId, number: '+41795550103', mode });

  const code = stage.zitadel.pendingCode(userId);
  expect({ status, errors }).toEqual({ status: 200, errors: undefined });
  expect(data?.setContactPhone).toMatchObject({
    user: { contactPhone: { number: '+41795550103', isVerified } },
  });
  expect(data?.setContactPhone?.verificationCode).toBe(mode === 'RETURN_CODE' ? code : null);
  expect(code === undefined).toBe(isVerified);
  expect(stage.zitadel.calls.map((call) => [call.rpc, call.userId, messageOf(call)])).toEqual([
    // The read before an SMS.
    ...(sms > 0 ? [['GetUserByID', userId, {}]] : []),
    ['SetPhone', userId, { phone: '+41795550103', ...verification }],
  ]);
  expect(stage.zitadel.outbox).toHaveLength(sms);
});

test('parses numbers as people type them', async () => {
  await using stage = await openStage();
  const typed = [
    ['+41 79 555 01 01', '+41795550101'],
    ['+41-79-555.01.02', '+41795550102'],
    ['+41 (0)79 555 01 03', '+41795550103'],
    ['  +41 79\u00a0555 01\u201104\n', '+41795550104'],
    ['+1 (242) 365-0105', '+12423650105'],
    ['\u202a+41 79 555 01 05\u202c', '+41795550105'],
    ['+870 773 111 632', '+870773111632'],
  ] as const;

  for (const [number, e164] of typed) {
    // Some of these are landlines or belong to no country, so no SMS may be sent to them.
    const { data } = await stage.run('set-contact-phone', { userId, number, mode: 'RETURN_CODE' });
    expect(data?.setContactPhone?.user.contactPhone?.number).toBe(e164);
  }

  expect(stage.zitadel.writes.map(messageOf)).toMatchObject(typed.map(([, phone]) => ({ phone })));
});

const noPlus = [
  'NUMBER_WITHOUT_COUNTRY_CODE',
  'The phone number must begin with + and a country calling code, such as +41.',
] as const;
const tooLong = ['NUMBER_INVALID', 'The phone number must have at most 100 characters.'] as const;
const invalid = ['NUMBER_INVALID', 'The phone number is not valid.'] as const;
const extension = ['NUMBER_WITH_EXTENSION', 'The phone number must not have an extension.'] as const;
const noString = ['NUMBER_INVALID', 'The phone number must be a string.'] as const;

test.for([
  ['a national number, which ZITADEL would take for Swiss', '0791234567', noPlus],
  ['an international number without its plus', '41791234567', noPlus],
  ['an international prefix', '0041791234567', noPlus],
  ['an empty number', '', noPlus],
  ['text before it', 'call +41791234567', noPlus],
  ['a URI', 'tel:+41791234567', noPlus],
  ['text after it', '+41791234567 or so', invalid],
  ['two numbers', '+41791234567 +41791234567', invalid],
  ['a number too short', '+4179123456', invalid],
  ['a number too long', '+417912345678', invalid],
  ['an impossible number', '+41001234567', invalid],
  ['a number from an unassigned range', '+41981466019', invalid],
  ['a country that does not exist', '+9991234567', invalid],
  ['only a plus', '+', invalid],
  ['letters for digits', '+1 800 CONTACT', invalid],
  ['a control character', '+41\u000079123 45 67', invalid],
  ['a lone surrogate', '+41791234567\ud800', invalid],
  ['a subaddress', '+41791234567;isub=7', invalid],
  ['110,000 digits', `+${'41791234567'.repeat(10_000)}`, tooLong],
  ['endless invisible characters', '+41791234567'.padEnd(340_000, '\u200b'), tooLong],
  ['too many trailing spaces', '+41791234567'.padEnd(101), tooLong],
  ['an extension', '+41 79 123 45 67 ext. 7', extension],
  ['an extension with an x', '+41791234567x7', extension],
  ['an integer', 41791234567, noString],
  ['a list', ['+41791234567'], noString],
  ['an object', { number: '+41791234567' }, noString],
  ['a Boolean', true, noString],
] as const)(
  'refuses a number without calling ZITADEL or repeating the input: %s',
  async ([, number, [reason, message]]) => {
    const stage = shared();

    for (const mode of ['SEND_CODE', 'MARK_VERIFIED']) {
      const answer = await stage.run('set-contact-phone', { userId: unverified, number, mode });

      expect(answer).toMatchObject({ status: 200, data: { setContactPhone: null } });
      expect(answer.errors).toMatchObject([{ message, path: ['setContactPhone'] }]);
      expect(answer.errors?.[0]?.extensions).toEqual({
        code: 'BAD_USER_INPUT',
        reason,
        outcome: 'NOT_DONE',
        argument: 'number',
      });
      expect(answer.text).not.toMatch(/79 ?123 ?45|CONTACT/);
    }
    expect(stage.zitadel.calls).toEqual([]);
    expect(stage.lines.join('')).not.toMatch(/79 ?123 ?45|CONTACT/);
  },
);
