import { afterEach, expect, test, vi } from 'vitest';
import { MemoryStore } from '../src/limits/memory-store.js';
import { ZitadelClient } from '../src/zitadel/zitadel-client.js';
import { mutationNames, mutations, type Mutation } from './support/mutations.js';
import { readMany, readOne, user } from './support/reads.js';
import { shareStage } from './support/shared-stage.js';
import { manager, openStage, unverified, type GraphQLAnswer } from './support/stage.js';

// Every error of a mutation says whether the change was made.

afterEach(() => void vi.restoreAllMocks());

/** For changes that are refused. */
const shared = shareStage();

const fieldOf: Record<Mutation, string> = {
  'set-contact-phone': 'setContactPhone',
  'resend-contact-phone-code': 'resendContactPhoneCode',
  'verify-contact-phone': 'verifyContactPhone',
  'remove-contact-phone': 'removeContactPhone',
};

/** Makes a change for the unverified user, unless the variables say otherwise. */
const change = (
  stage: Awaited<ReturnType<typeof openStage>>,
  name: Mutation,
  variables: object = {},
  headers: Record<string, string> = manager,
) =>
  stage.run(name, { userId: unverified, ...mutations[name], ...variables }, headers) as Promise<GraphQLAnswer<object>>;

const tokenMissing = { code: 'UNAUTHENTICATED', reason: 'TOKEN_MISSING', outcome: 'NOT_DONE' };
const invalid = (argument: string, reason: string) => ({
  code: 'BAD_USER_INPUT',
  reason,
  outcome: 'NOT_DONE',
  argument,
});
const userIdInvalid = invalid('userId', 'USER_ID_INVALID');

test.for(
  mutationNames.flatMap((name) => [
    [name, 'without a token', {}, {}, tokenMissing] as const,
    [name, 'with something that cannot be a token', {}, { authorization: 'é' }, tokenMissing] as const,
    [name, 'without a token, and with a bad id', { userId: '..' }, {}, tokenMissing] as const,
    [name, 'with a bad id', { userId: '..' }, manager, userIdInvalid] as const,
    [
      name,
      'with a bad id, and a bad number or code',
      { userId: '', ...badInput(name) },
      manager,
      userIdInvalid,
    ] as const,
  ]),
)('%s does nothing %s', async ([name, , variables, headers, extensions]) => {
  const stage = shared();

  const { status, data, errors } = await change(stage, name, variables, headers);

  expect({ status, data }).toEqual({ status: 200, data: { [fieldOf[name]]: null } });
  expect(errors).toMatchObject([{ path: [fieldOf[name]] }]);
  expect(errors?.[0]?.message).not.toContain('may have been made');
  expect(errors?.[0]?.extensions).toEqual(extensions);
  expect(stage.zitadel.calls).toEqual([]);
});

function badInput(name: Mutation): object {
  return Object.fromEntries(Object.keys(mutations[name]).map((argument) => [argument, '']));
}

test.for([
  ['set-contact-phone', invalid('number', 'NUMBER_WITHOUT_COUNTRY_CODE')],
  ['verify-contact-phone', invalid('verificationCode', 'CODE_MALFORMED')],
] as const)('%s does nothing with a bad number or code', async ([name, extensions]) => {
  const stage = shared();

  const { errors } = await change(stage, name, badInput(name));

  expect(errors?.map((error) => error.extensions)).toEqual([extensions]);
  expect(stage.zitadel.calls).toEqual([]);
});

const ownFault = {
  message: 'Something went wrong in this server. The change may have been made anyway.',
  extensions: { code: 'INTERNAL_SERVER_ERROR', outcome: 'UNKNOWN' },
};

test.for([
  ['set-contact-phone', 'an SMS was sent', ['GetUserByID', 'SetPhone']],
  ['resend-contact-phone-code', 'an SMS was sent', ['GetUserByID', 'ResendPhoneCode']],
  ['verify-contact-phone', 'a wrong code was refused', ['VerifyPhone']],
] as const)('%s has an unknown outcome if this server fails after %s', async ([name, , rpcs]) => {
  await using stage = await openStage({ SMS_LIMITS: '', VERIFY_LIMIT: '' });
  vi.spyOn(MemoryStore.prototype, 'settle').mockImplementation(() => {
    throw new TypeError('a fault after the answer');
  });

  const { status, data, errors, text } = await change(stage, name);

  expect({ status, data }).toEqual({ status: 200, data: { [fieldOf[name]]: null } });
  expect(errors).toMatchObject([{ path: [fieldOf[name]] }]);
  expect(errors?.map(({ message, extensions }) => ({ message, extensions }))).toEqual([ownFault]);
  expect(text).not.toContain('a fault after the answer');
  expect(stage.rpcs()).toEqual(rpcs);
  expect(stage.zitadel.outbox).toHaveLength(name === 'verify-contact-phone' ? 0 : 1);
});

test('says that the change was made if this server fails below it', async () => {
  await using stage = await openStage();
  await stage.resend();
  stage.zitadel.calls.length = 0;
  vi.spyOn(ZitadelClient.prototype, 'getUserById').mockRejectedValue(new TypeError('a fault in a read'));

  const { data, errors } = await stage.run('verify-contact-phone', {
    userId: unverified,
    verificationCode: stage.zitadel.codes[0],
  });

  expect(data?.verifyContactPhone).toMatchObject({ user: { id: unverified, contactPhone: null } });
  expect(errors).toMatchObject([
    {
      path: ['verifyContactPhone', 'user', 'contactPhone'],
      message: 'Something went wrong in this server. The change itself was made.',
    },
  ]);
  expect(errors?.[0]?.extensions).toEqual({ code: 'INTERNAL_SERVER_ERROR', outcome: 'DONE' });
  expect(stage.zitadel.calls).toHaveLength(1);
});

test('gives no outcome if this server fails in a read', async () => {
  await using stage = await openStage();
  for (const method of ['getUserById', 'listUsers'] as const)
    vi.spyOn(ZitadelClient.prototype, method).mockRejectedValue(new TypeError('a fault in a read'));

  const alone = await readOne(stage.graphql, unverified);
  const among = await readMany(stage.graphql, [user(unverified), user('1')]);

  const fault = (userId: string) => ({ code: 'INTERNAL_SERVER_ERROR', userId });
  expect(alone).toMatchObject({ status: 200, data: { contactPhone: null } });
  expect(alone.errors).toMatchObject([{ message: 'Something went wrong in this server.', path: ['contactPhone'] }]);
  expect(alone.errors?.map(({ extensions }) => extensions)).toEqual([fault(unverified)]);
  expect(among.errors?.map(({ extensions }) => extensions)).toEqual([fault(unverified), fault('1')]);
  expect(alone.text + among.text).not.toContain('a fault in a read');
});

test('leaves a refusal as it is if this server fails in the read that explains it', async () => {
  await using stage = await openStage();
  vi.spyOn(ZitadelClient.prototype, 'getUserById').mockRejectedValue(new TypeError('a fault in a read'));

  const { errors } = await change(stage, 'verify-contact-phone');

  expect(errors).toMatchObject([{ extensions: { code: 'INVALID_VERIFICATION_CODE', outcome: 'NOT_DONE' } }]);
});
