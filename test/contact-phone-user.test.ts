import { expect, test } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import { shareStage } from './support/shared-stage.js';
import { manager, openStage, post, unverified } from './support/stage.js';
import { answered } from './support/zitadel.js';

// A caller who may read the user may read everything below them: in a supergraph, even the fields of other subgraphs. reads.test.ts has the
// callers who may not.

const shared = shareStage();

const read = (url: string, userId: unknown, fields: string, headers: Record<string, string> = manager) => {
  const query = `query ($userId: ID!) { contactPhoneUser(userId: $userId) { ${fields} } }`;
  return post<{ contactPhoneUser: object | null }>(url, { query, variables: { userId } }, headers);
};

test.for([
  ['only their id', 'id', { id: unverified }],
  ['only their type', '__typename', { __typename: 'User' }],
  ['nothing', 'id @skip(if: true)', {}],
  ['their phone', 'id contactPhone { number isVerified }', { id: unverified, contactPhone: users.unverified.phone }],
  [
    'their phone under two names',
    'a: contactPhone { number } b: contactPhone { isVerified }',
    { a: { number: '+41791234567' }, b: { isVerified: false } },
  ],
  [
    'when the next SMS may be sent',
    'contactPhone { resendAvailableAt }',
    { contactPhone: { resendAvailableAt: null } },
  ],
] as const)('reads the user with one call, whichever fields are selected: %s', async ([, fields, user]) => {
  const stage = shared();

  const { status, data, errors } = await read(stage.graphql, unverified, fields);

  expect({ status, data, errors }).toEqual({ status: 200, data: { contactPhoneUser: user }, errors: undefined });
  expect(stage.zitadel.calls).toMatchObject([{ rpc: 'GetUserByID', userId: unverified, headers: manager }]);
});

test.for([
  ['no phone', users.phoneless],
  ['a machine', users.machine],
] as const)('the phone of the user is null: %s', async ([, { userId }]) => {
  const stage = shared();

  const { data, errors } = await read(stage.graphql, userId, 'id contactPhone { number }');

  expect(data).toEqual({ contactPhoneUser: { id: userId, contactPhone: null } });
  expect(errors).toBeUndefined();
});

test.for([
  ['an anonymous caller', {}, unverified, { code: 'UNAUTHENTICATED', reason: 'TOKEN_MISSING', userId: unverified }],
  ['a bad id', manager, '../passkeys', { code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID', argument: 'userId' }],
  ['an id that was rounded', manager, 2 ** 60, { code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID' }],
] as const)('does not call ZITADEL for %s', async ([, headers, userId, extensions]) => {
  const stage = shared();

  const { data, errors } = await read(stage.graphql, userId, 'id', headers);

  expect(data?.contactPhoneUser ?? null).toBeNull();
  expect(errors).toMatchObject([{ extensions }]);
  expect(stage.zitadel.calls).toEqual([]);
});

test('reads several users in one call, together with other phones, and each user has their own error', async () => {
  await using stage = await openStage();
  const query = `{
    a: contactPhoneUser(userId: "${unverified}") { id }
    b: contactPhoneUser(userId: "${users.verified.userId}") { id contactPhone { number } }
    again: contactPhoneUser(userId: "${unverified}") { contactPhone { isVerified } }
    theirs: contactPhoneUser(userId: "${users.foreign.userId}") { id }
    bad: contactPhoneUser(userId: "..") { id }
    contactPhone(userId: "${unverified}") { number }
  }`;

  const { data, errors = [] } = await post(stage.graphql, { query }, manager);

  expect(data).toEqual({
    a: { id: unverified },
    b: { id: users.verified.userId, contactPhone: { number: '+41797654321' } },
    again: { contactPhone: { isVerified: false } },
    theirs: null,
    bad: null,
    contactPhone: { number: '+41791234567' },
  });
  expect(new Map(errors.map(({ path, extensions }) => [String(path), extensions]))).toEqual(
    new Map<string, object>([
      ['theirs', { code: 'NOT_FOUND', reason: 'USER_UNKNOWN', userId: users.foreign.userId }],
      ['bad', { code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID', argument: 'userId' }],
    ]),
  );
  expect(stage.rpcs()).toEqual(['ListUsers']);
});

test('never returns a user that ZITADEL did not confirm', async () => {
  await using stage = await openStage();
  const ofAnother = { user: { userId: users.verified.userId, human: { phone: { phone: '+41797654321' } } } };
  stage.zitadel.misbehave(answered(ofAnother), answered({}), answered({ code: 14 }, 503), answered({ code: 14 }, 503));

  const answers = [];
  for (let times = 0; times < 3; times += 1) answers.push(await read(stage.graphql, unverified, 'id'));

  for (const { data, errors } of answers) {
    expect(data).toEqual({ contactPhoneUser: null });
    expect(errors).toHaveLength(1);
  }
  expect(answers.map(({ errors }) => errors?.[0]?.extensions.code)).toEqual([
    'UPSTREAM_ERROR',
    'UPSTREAM_ERROR',
    'UPSTREAM_UNAVAILABLE',
  ]);
});
