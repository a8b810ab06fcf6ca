import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { tokens, users } from '../../src/embedded-zitadel/population.js';
import { gateways, openSupergraph } from './gateways.js';
import { bearer, manager, openStage, post, run, unverified, type OperationName } from '../support/stage.js';

/** A frontend that calls the subgraph directly. */
const openDirect = async () => {
  const stage = await openStage();
  return { zitadel: stage.zitadel, url: stage.graphql, [Symbol.asyncDispose]: () => stage[Symbol.asyncDispose]() };
};

const frontends = [
  ['the subgraph', openDirect] as const,
  ...gateways.map(([name, openGateway]) => [name, () => openSupergraph(openGateway)] as const),
];

test.for(frontends)('the whole journey of a contact phone: %s', async ([, open]) => {
  await using frontend = await open();
  const { zitadel, url } = frontend;
  const { userId } = users.phoneless;
  const refusedBy = (code: number, id: string) => ({ outcome: 'NOT_DONE', zitadel: { code, id } });
  const invalidCode = { code: 'INVALID_VERIFICATION_CODE', ...refusedBy(3, 'COMMAND-eis9R') };
  const alreadyVerified = { code: 'FAILED_PRECONDITION', reason: 'ALREADY_VERIFIED' };
  const done = new Set<OperationName>();
  const step = <Name extends OperationName>(name: Name, variables: object = {}) => {
    done.add(name);
    return run(url, name, { userId, ...variables });
  };
  const read = async () => (await step('contact-phone')).data?.contactPhoneUser?.contactPhone;
  const verify = (verificationCode: string | undefined) => step('verify-contact-phone', { verificationCode });

  // There is no phone.
  expect(await read()).toBeNull();

  // Then there is an unverified one, and its code is sent.
  const set = await step('set-contact-phone', { number: '+41 79 555 01 03' });
  expect(set.errors).toBeUndefined();
  expect(set.data?.setContactPhone).toMatchObject({
    verificationCode: null,
    user: { contactPhone: { number: '+41795550103', isVerified: false } },
  });
  expect(zitadel.outbox).toEqual([{ userId, number: '+41795550103', code: zitadel.pendingCode(userId) }]);

  // A wrong code fails.
  const wrong = await verify('S3CR3T');
  expect(wrong).toMatchObject({ status: 200, data: { verifyContactPhone: null } });
  expect(wrong.errors).toMatchObject([{ path: ['verifyContactPhone'], extensions: invalidCode }]);

  // After another code by SMS, the old one no longer works, but the new one does.
  const resent = await step('resend-contact-phone-code');
  expect(resent.errors).toBeUndefined();
  expect(resent.data?.resendContactPhoneCode).toMatchObject({
    details: { sequence: '3', resourceOwner: users.phoneless.organisation },
    verificationCode: null,
    user: { id: userId, contactPhone: { number: '+41795550103', isVerified: false } },
  });
  const [first, second] = zitadel.outbox.map(({ code }) => code);
  expect((await verify(first)).errors).toMatchObject([{ extensions: invalidCode }]);
  expect(await read()).toEqual({ number: '+41795550103', isVerified: false, resendAvailableAt: null });
  const verified = await verify(second);
  expect(verified.errors).toBeUndefined();
  expect(verified.data?.verifyContactPhone).toMatchObject({
    user: { contactPhone: { number: '+41795550103', isVerified: true } },
  });

  // There is nothing left to resend, and a code works only once.
  expect((await step('resend-contact-phone-code')).errors).toMatchObject([
    { extensions: { ...alreadyVerified, ...refusedBy(9, 'PHONE-5xrra88eq8') } },
  ]);
  expect((await verify(second)).errors).toMatchObject([
    { extensions: { ...alreadyVerified, ...refusedBy(3, 'COMMAND-eis9R') } },
  ]);

  // Another number is unverified again.
  const changed = await step('set-contact-phone', { number: '+43 664 1234567', mode: 'RETURN_CODE' });
  expect(changed.data?.setContactPhone).toMatchObject({
    verificationCode: zitadel.pendingCode(userId),
    user: { contactPhone: { number: '+436641234567', isVerified: false } },
  });

  // Then it is removed.
  const removed = await step('remove-contact-phone');
  expect(removed.errors).toBeUndefined();
  expect(removed.data?.removeContactPhone).toMatchObject({ user: { contactPhone: null } });
  expect(await read()).toBeNull();
  expect((await step('remove-contact-phone')).errors).toMatchObject([
    { extensions: { code: 'FAILED_PRECONDITION', reason: 'NO_PHONE', ...refusedBy(9, 'COMMAND-ieJ2e') } },
  ]);

  expect(zitadel.outbox).toHaveLength(2);
  // Each mutation once. Three queries read the user, and so do the verification and the resend that succeeded, for the phone in their result.
  // The three verifications that failed read the user once each, to find out why. The set and both resends by SMS read the user before.
  const count = (wanted: string) => zitadel.calls.filter(({ rpc }) => rpc === wanted).length;
  expect(['SetPhone', 'ResendPhoneCode', 'VerifyPhone', 'RemovePhone', 'GetUserByID'].map(count)).toEqual([
    2, 2, 4, 2, 11,
  ]);
  expect(zitadel.calls).toHaveLength(21);

  // Every example must have been run.
  const examples = readdirSync('schema/operations').map((file) => file.replace('.graphql', ''));
  expect(examples.sort()).toEqual([...done].sort());
});

test('runs the mutations of one document in order, and each may fail on its own', async () => {
  await using stage = await openStage();
  const query = `mutation ($id: ID!, $verified: ID!) {
    set: setContactPhone(userId: $id, number: "+41 79 555 01 01") { user { contactPhone { number isVerified } } }
    misread: setContactPhone(userId: $id, number: "0795550101") { user { id } }
    wrong: verifyContactPhone(userId: $id, verificationCode: "S3CR3T") { user { id } }
    resend: resendContactPhoneCode(userId: $id, mode: RETURN_CODE) { verificationCode }
    refused: resendContactPhoneCode(userId: $verified) { verificationCode }
    again: resendContactPhoneCode(userId: $id, mode: RETURN_CODE) { verificationCode }
    mark: setContactPhone(userId: $id, number: "+41795550102", mode: MARK_VERIFIED) { user { contactPhone { number isVerified } } }
    remove: removeContactPhone(userId: $id) { user { contactPhone { number isVerified } } }
  }`;

  const { status, data, errors } = await post(
    stage.graphql,
    { query, variables: { id: unverified, verified: users.verified.userId } },
    manager,
  );

  const [, second, third] = stage.zitadel.codes;
  expect(status).toBe(200);
  expect(data).toEqual({
    set: { user: { contactPhone: { number: '+41795550101', isVerified: false } } },
    misread: null,
    wrong: null,
    resend: { verificationCode: second },
    refused: null,
    again: { verificationCode: third },
    mark: { user: { contactPhone: { number: '+41795550102', isVerified: true } } },
    remove: { user: { contactPhone: null } },
  });
  expect(errors?.map(({ path, extensions }) => [path?.[0], extensions.code, extensions.reason])).toEqual([
    ['misread', 'BAD_USER_INPUT', 'NUMBER_WITHOUT_COUNTRY_CODE'],
    ['wrong', 'INVALID_VERIFICATION_CODE', undefined],
    ['refused', 'FAILED_PRECONDITION', 'ALREADY_VERIFIED'],
  ]);
  expect(errors?.map(({ extensions }) => extensions.outcome)).toEqual(['NOT_DONE', 'NOT_DONE', 'NOT_DONE']);
  expect(stage.rpcs()).toEqual([
    ...['GetUserByID', 'SetPhone'],
    ...['VerifyPhone', 'GetUserByID'],
    'ResendPhoneCode',
    ...['GetUserByID', 'ResendPhoneCode'],
    'ResendPhoneCode',
    'SetPhone',
    'RemovePhone',
  ]);
});

test('lets users set, verify and remove their own phone, but not mark it as verified or see the code', async () => {
  await using stage = await openStage();
  const self = bearer(tokens.self.token);
  const userId = unverified;
  const set = (number: string, mode?: string) => stage.run('set-contact-phone', { userId, number, mode }, self);

  const sent = await set('+41795550101', 'SEND_CODE');
  const marked = await set('+41795550102', 'MARK_VERIFIED');
  const returned = await set('+41795550102', 'RETURN_CODE');
  const [code] = stage.zitadel.codes;
  const verified = await stage.run('verify-contact-phone', { userId, verificationCode: code }, self);
  const removed = await stage.run('remove-contact-phone', { userId }, self);

  expect([sent, verified, removed].map(({ errors }) => errors)).toEqual([undefined, undefined, undefined]);
  expect(verified.data?.verifyContactPhone?.user.contactPhone).toMatchObject({
    number: '+41795550101',
    isVerified: true,
  });
  for (const { errors } of [marked, returned]) {
    const forbidden = { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING', outcome: 'NOT_DONE' };
    expect(errors).toMatchObject([{ extensions: { ...forbidden, zitadel: { id: 'AUTHZ-cdgFk' } } }]);
  }
  expect(stage.zitadel.outbox).toHaveLength(1);
});

test('lets anyone with a token verify with the right code, as ZITADEL does', async () => {
  await using stage = await openStage();
  await stage.resend();

  const { errors } = await post(
    stage.graphql,
    {
      query:
        'mutation ($c: VerificationCode!, $u: ID!) { verifyContactPhone(userId: $u, verificationCode: $c) { user { id } } }',
      variables: { u: unverified, c: stage.zitadel.codes[0] },
    },
    bearer(tokens.outsider.token),
  );

  expect(errors).toBeUndefined();
});
