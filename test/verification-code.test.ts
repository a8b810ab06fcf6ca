import { expect, test } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import { shareStage } from './support/shared-stage.js';
import { manager, openStage, post, unverified } from './support/stage.js';
import { messageOf } from './support/zitadel.js';

const hour = 60 * 60 * 1000;
/** For codes that are refused. */
const shared = shareStage();

/** A stage where the unverified user has received a code. */
async function openWithCode(options?: Parameters<typeof openStage>[1]) {
  const stage = await openStage({}, options);
  await stage.resend();
  const [code = ''] = stage.zitadel.codes;
  stage.zitadel.calls.length = 0;
  const verify = (verificationCode: string) =>
    stage.run('verify-contact-phone', { userId: unverified, verificationCode });
  return { ...stage, code, verify };
}

test('verifies with the code, ignoring white space around it', async () => {
  await using stage = await openWithCode();
  const { code, verify } = stage;

  const { status, data, errors } = await verify(` \t\n${code}\u00a0\r\n`);

  expect({ status, errors }).toEqual({ status: 200, errors: undefined });
  expect(data?.verifyContactPhone).toMatchObject({
    user: { contactPhone: { ...users.unverified.phone, isVerified: true } },
  });
  expect(stage.zitadel.calls.map((call) => [call.rpc, call.userId, messageOf(call)])).toEqual([
    ['VerifyPhone', unverified, { verificationCode: code }],
    ['GetUserByID', unverified, {}],
  ]);
});

test.for([
  ['nothing', ''],
  ['only white space', ' \n\t '],
  ['half a character', 'S3CR3T\ud83d'],
  ['21 characters', 'S3CR3T-S3CR3T-S3CR3T-'],
  ['21 characters of two halves each', '💌'.repeat(21)],
] as const)('refuses a malformed code without calling ZITADEL: %s', async ([, verificationCode]) => {
  const stage = shared();

  const answer = await stage.run('verify-contact-phone', { userId: unverified, verificationCode });

  expect(answer).toMatchObject({ status: 200, data: { verifyContactPhone: null } });
  expect(answer.errors).toMatchObject([
    { message: 'The verification code must have 1 to 20 characters.', path: ['verifyContactPhone'] },
  ]);
  expect(answer.errors?.[0]?.extensions).toEqual({
    code: 'BAD_USER_INPUT',
    reason: 'CODE_MALFORMED',
    outcome: 'NOT_DONE',
    argument: 'verificationCode',
  });
  expect(answer.text).not.toMatch(/S3CR3T|💌/);
  expect(stage.zitadel.calls).toEqual([]);
});

test.for([
  ['a number', '537237'],
  ['a number with a fraction', '5372.37'],
  ['true', 'true'],
  ['a list', '["537237"]'],
  ['an object', '{"S3CR3T":"537237"}'],
] as const)('refuses a code that is %s instead of a string, without calling ZITADEL', async ([, value]) => {
  const stage = shared();
  const verify = (argument: string) => `verifyContactPhone(userId: "${unverified}", verificationCode: ${argument})`;
  const literal = value.replace('"S3CR3T"', 'S3CR3T');

  for (const body of [
    { query: `mutation { it: ${verify(literal)} { user { id } } }` },
    {
      query: `mutation ($code: VerificationCode!) { it: ${verify('$code')} { user { id } } }`,
      variables: { code: JSON.parse(value) as unknown },
    },
  ]) {
    const { status, data, errors, text } = await post(stage.graphql, body, manager);

    expect({ status, data }).toEqual({ status: 200, data: { it: null } });
    expect(errors).toMatchObject([
      {
        message: 'The verification code must be a string.',
        path: ['it'],
        extensions: {
          code: 'BAD_USER_INPUT',
          reason: 'CODE_MALFORMED',
          argument: 'verificationCode',
          outcome: 'NOT_DONE',
        },
      },
    ]);
    expect(text).not.toMatch(/S3CR3T|537/);
  }
  expect(stage.zitadel.calls).toEqual([]);
  expect(stage.lines.join('')).not.toMatch(/S3CR3T|537237/);
});

test.for([
  ['a character', '§'],
  ['20 characters', 'S3CR3T-S3CR3T-S3CR3T'],
  ['20 characters of two halves each', '💌'.repeat(20)],
  ['white space within', 'S3C R3T'],
  ['two lines', 'S3C\nR3T'],
] as const)('lets ZITADEL judge a code of %s', async ([, verificationCode]) => {
  const stage = shared();

  const answer = await stage.run('verify-contact-phone', { userId: unverified, verificationCode });

  expect(answer.errors).toMatchObject([{ extensions: { code: 'INVALID_VERIFICATION_CODE', outcome: 'NOT_DONE' } }]);
  expect(answer.text).not.toContain(verificationCode);
  expect(stage.zitadel.calls.map((call) => [call.rpc, messageOf(call)])).toEqual([
    ['VerifyPhone', { verificationCode }],
    ['GetUserByID', {}],
  ]);
});

test('is case-sensitive about codes', async () => {
  // A code may consist of digits only, which would be the same in lower case.
  await using stage = await openWithCode();
  const { code, verify } = stage;
  let letters = code;
  while (letters === letters.toLowerCase()) {
    await stage.resend();
    letters = stage.zitadel.codes.at(-1) ?? '';
  }

  expect((await verify(letters.toLowerCase())).errors).toMatchObject([
    { extensions: { code: 'INVALID_VERIFICATION_CODE' } },
  ]);
  expect((await verify(letters)).errors).toBeUndefined();
});

test.for([
  ['SEND_CODE', { code: 'INVALID_VERIFICATION_CODE' }],
  ['RETURN_CODE', { code: 'INVALID_VERIFICATION_CODE' }],
  ['MARK_VERIFIED', { code: 'FAILED_PRECONDITION', reason: 'ALREADY_VERIFIED' }],
] as const)('rejects the code for the previous number once there is another: %s', async ([mode, extensions]) => {
  await using stage = await openWithCode();
  const { code, verify } = stage;

  const set = await stage.run('set-contact-phone', { userId: unverified, number: '+41795550101', mode });
  const { errors } = await verify(code);

  expect(set.errors).toBeUndefined();
  expect(errors).toMatchObject([{ extensions: { ...extensions, outcome: 'NOT_DONE' } }]);
});

test('reports an expired code like a wrong one', async () => {
  let now = Date.parse('2026-01-01T00:00:00Z');
  await using stage = await openWithCode({ now: () => now });
  const { code, verify } = stage;

  now += hour;
  const expired = await verify(code);
  const wrong = await verify('S3CR3T');

  expect(expired.errors?.[0]?.extensions.code).toBe('INVALID_VERIFICATION_CODE');
  expect(expired.errors).toEqual(wrong.errors);
  // Two reads found no other reason.
  expect(stage.rpcs()).toEqual(['VerifyPhone', 'GetUserByID', 'VerifyPhone', 'GetUserByID']);
});
