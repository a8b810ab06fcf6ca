import { expect, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { bearer, manager, openStage, post, unverified } from './support/stage.js';
import { answered } from './support/zitadel.js';

// What a mutation itself proves about the phone is not read again. Reads may lag behind the write.

const selection = 'user { id contactPhone { number isVerified } }';
const proper = { hold: Promise.resolve() };

/** A stage where the unverified user has received a code. */
async function openWithCode() {
  const stage = await openStage();
  await stage.resend();
  stage.zitadel.calls.length = 0;
  const mutate = (field: string, headers = manager) =>
    post<{ it: unknown }>(stage.graphql, { query: `mutation { it: ${field} }` }, headers);
  return {
    ...stage,
    mutate,
    verify: (selected: string, headers = manager) =>
      mutate(
        `verifyContactPhone(userId: "${unverified}", verificationCode: "${stage.zitadel.codes[0]}") { ${selected} }`,
        headers,
      ),
  };
}

test.for([
  ['SEND_CODE', false, ['GetUserByID', 'SetPhone']],
  ['RETURN_CODE', false, ['SetPhone']],
  ['MARK_VERIFIED', true, ['SetPhone']],
] as const)('knows the phone after it was set, without reading it again: %s', async ([mode, isVerified, rpcs]) => {
  await using stage = await openWithCode();

  const { data, errors } = await stage.mutate(
    `setContactPhone(userId: "${unverified}", number: "+41 79 555 01 01", mode: ${mode}) { ${selection} }`,
  );

  expect(errors).toBeUndefined();
  expect(data).toEqual({ it: { user: { id: unverified, contactPhone: { number: '+41795550101', isVerified } } } });
  expect(stage.rpcs()).toEqual(rpcs);
});

test('knows that there is no phone after it was removed, without reading it', async () => {
  await using stage = await openWithCode();

  const { data, errors } = await stage.mutate(`removeContactPhone(userId: "${unverified}") { ${selection} }`);

  expect(errors).toBeUndefined();
  expect(data).toEqual({ it: { user: { id: unverified, contactPhone: null } } });
  expect(stage.rpcs()).toEqual(['RemovePhone']);
});

test.for([
  ['nothing of the user', 'details { sequence }'],
  ['only the id', 'user { id }'],
  ['a phone that is not included', 'user { id contactPhone @include(if: false) { number } }'],
])('reads no phone after a verification or a resend that selects %s', async ([, selected]) => {
  await using stage = await openWithCode();
  const resent = await stage.mutate(
    `resendContactPhoneCode(userId: "${unverified}", mode: RETURN_CODE) { ${selected} }`,
  );
  const { codes } = stage.zitadel;
  const verified = await stage.mutate(
    `verifyContactPhone(userId: "${unverified}", verificationCode: "${codes.at(-1)}") { ${selected} }`,
  );

  expect([resent.errors, verified.errors]).toEqual([undefined, undefined]);
  expect(stage.rpcs()).toEqual(['ResendPhoneCode', 'VerifyPhone']);
});

test('reads the phone after a verification or a resend that selects it', async () => {
  await using stage = await openWithCode();
  const verified = await stage.verify(selection);
  const { userId } = users.phoneless;
  await stage.run('set-contact-phone', { userId, number: '+41795550103' });
  const resent = await stage.mutate(`resendContactPhoneCode(userId: "${userId}") { ${selection} }`);

  expect(verified.data).toEqual({
    it: { user: { id: unverified, contactPhone: { ...users.unverified.phone, isVerified: true } } },
  });
  expect(resent.data).toEqual({
    it: { user: { id: userId, contactPhone: { number: '+41795550103', isVerified: false } } },
  });
  expect(stage.rpcs()).toEqual([
    ...['VerifyPhone', 'GetUserByID'],
    ...['GetUserByID', 'SetPhone'],
    ...['GetUserByID', 'ResendPhoneCode', 'GetUserByID'],
  ]);
});

test.for([
  ['still shows an unverified phone', { phone: '+41791234567' }, { number: '+41791234567', isVerified: true }],
  ['shows no phone, since it was removed meanwhile', {}, null],
] as const)('reports a verified phone correctly if the read %s', async ([, phone, contactPhone]) => {
  await using stage = await openWithCode();
  stage.zitadel.misbehave(proper, answered({ user: { userId: unverified, human: { phone } } }));

  const { data, errors } = await stage.verify(selection);

  expect(errors).toBeUndefined();
  expect(data).toEqual({ it: { user: { id: unverified, contactPhone } } });
  expect(stage.rpcs()).toEqual(['VerifyPhone', 'GetUserByID']);
});

test('does not claim that a phone is verified after a resend', async () => {
  await using stage = await openWithCode();

  const { data } = await stage.mutate(`resendContactPhoneCode(userId: "${unverified}") { ${selection} }`);

  expect(data).toEqual({ it: { user: { id: unverified, contactPhone: users.unverified.phone } } });
});

test.for([
  ['fails', manager, [answered({ code: 13 }, 500)], 'UPSTREAM_ERROR', undefined, 2],
  ['breaks twice', manager, [{ reset: true }, { reset: true }], 'UPSTREAM_UNAVAILABLE', 'CONNECTION_LOST', 3],
  ['is forbidden', bearer(tokens.outsider.token), [], 'FORBIDDEN', 'PERMISSION_MISSING', 2],
] as const)(
  'reports that the phone was verified if the read after it %s',
  async ([, headers, reads, code, reason, calls]) => {
    await using stage = await openWithCode();
    stage.zitadel.misbehave(proper, ...reads);

    const { status, data, errors } = await stage.verify(`details { sequence } ${selection}`, headers);

    expect(status).toBe(200);
    expect(data).toEqual({ it: { details: { sequence: '3' }, user: { id: unverified, contactPhone: null } } });
    expect(errors).toMatchObject([
      {
        path: ['it', 'user', 'contactPhone'],
        message: expect.stringMatching(/\. The change itself was made\.$/) as string,
        extensions: { code, outcome: 'DONE' },
      },
    ]);
    expect(errors?.[0]?.extensions.reason).toBe(reason);
    expect(stage.zitadel.calls).toHaveLength(calls);
  },
);
