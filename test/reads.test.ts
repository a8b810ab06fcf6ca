import { expect, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { crowd } from './support/crowd.js';
import { gate } from './support/gate.js';
import { readMany, readOne, user } from './support/reads.js';
import { shareStage } from './support/shared-stage.js';
import { bearer, manager, openStage, post, unverified } from './support/stage.js';
import { answered, zitadel } from './support/zitadel.js';

/** For stories that only read. */
const shared = shareStage();

const missing = '999999999999999999';
const userUnknown = { code: 'NOT_FOUND', reason: 'USER_UNKNOWN' };

test.for([
  ['an unverified phone', users.unverified, { number: '+41791234567', isVerified: false }],
  ['a verified phone', users.verified, { number: '+41797654321', isVerified: true }],
  ['null for a user without a phone', users.phoneless, null],
  ['null for a machine', users.machine, null],
] as const)('reads %s with a call for one user', async ([, { userId }, phone]) => {
  const stage = shared();

  const direct = await readOne(stage.graphql, userId);
  const asEntity = await readMany(stage.graphql, [user(userId)]);

  expect(direct).toMatchObject({ status: 200, data: { contactPhone: phone }, errors: undefined });
  expect(asEntity).toMatchObject({ status: 200, data: { _entities: [{ contactPhone: phone }] }, errors: undefined });
  const call = { rpc: 'GetUserByID', userId, headers: manager };
  expect(stage.zitadel.calls).toMatchObject([call, call]);
});

test.for([
  [
    'a user who does not exist',
    manager,
    missing,
    {
      code: 'NOT_FOUND',
      reason: 'USER_UNKNOWN',
      zitadel: zitadel(5, 'NOT_FOUND', 404, 'QUERY-Dfbg2', 'User could not be found'),
    },
  ],
  [
    'an outsider',
    bearer(tokens.outsider.token),
    unverified,
    {
      code: 'FORBIDDEN',
      reason: 'PERMISSION_MISSING',
      zitadel: zitadel(5, 'NOT_FOUND', 404, 'AUTHZ-cdgFk', 'membership not found'),
    },
  ],
  [
    'another user',
    bearer(tokens.self.token),
    users.verified.userId,
    {
      code: 'FORBIDDEN',
      reason: 'PERMISSION_MISSING',
      zitadel: zitadel(5, 'NOT_FOUND', 404, 'AUTHZ-cdgFk', 'membership not found'),
    },
  ],
  [
    'a member without user.read',
    bearer(tokens.guest.token),
    unverified,
    {
      code: 'FORBIDDEN',
      reason: 'PERMISSION_MISSING',
      zitadel: zitadel(7, 'PERMISSION_DENIED', 403, 'AUTH-AWfge', 'No matching permissions found'),
    },
  ],
  [
    'an expired token',
    bearer(tokens.expired.token),
    unverified,
    {
      code: 'UNAUTHENTICATED',
      reason: 'TOKEN_REFUSED',
      zitadel: zitadel(16, 'UNAUTHENTICATED', 401, 'AUTH-7fs1e', 'Errors.Token.Invalid'),
    },
  ],
] as const)('reports why a phone, and its user, cannot be read: %s', async ([, headers, userId, extensions]) => {
  const stage = shared();

  const direct = await readOne(stage.graphql, userId, headers);
  const asEntity = await readMany(stage.graphql, [user(userId)], headers);
  // Even if only the id is selected: a user who was not read would open other subgraphs' fields to anyone.
  const query = 'query ($userId: ID!) { contactPhoneUser(userId: $userId) { id } }';
  const asUser = await post(stage.graphql, { query, variables: { userId } }, headers);

  expect(direct).toMatchObject({ status: 200, data: { contactPhone: null }, errors: [{ path: ['contactPhone'] }] });
  expect(asUser).toMatchObject({ status: 200, errors: [{ path: ['contactPhoneUser'] }] });
  expect(asUser.data).toEqual({ contactPhoneUser: null });
  expect(asEntity).toMatchObject({ status: 200, errors: [{ path: ['_entities', 0, 'contactPhone'] }] });
  expect(asEntity.data).toEqual({ _entities: [{ contactPhone: null }] });
  for (const { errors } of [direct, asEntity, asUser]) {
    expect(errors?.map((error) => error.extensions)).toEqual([{ ...extensions, userId }]);
  }
  expect(stage.rpcs()).toEqual(['GetUserByID', 'GetUserByID', 'GetUserByID']);
});

test('does not call ZITADEL to read for an anonymous caller', async () => {
  const stage = shared();

  const { data, errors } = await readMany(stage.graphql, [user(unverified), user('..')], {});

  expect(data).toEqual({ _entities: [{ contactPhone: null }, null] });
  expect(new Map(errors?.map(({ path, extensions }) => [String(path), extensions]))).toEqual(
    new Map([
      ['_entities,0,contactPhone', { code: 'UNAUTHENTICATED', reason: 'TOKEN_MISSING', userId: unverified }],
      ['_entities,1', { code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID' }],
    ]),
  );
  expect(stage.zitadel.calls).toEqual([]);
});

test('lets users read their own phone, even if they may read nobody else', async () => {
  const stage = shared();
  const self = bearer(tokens.self.token);

  const alone = await readOne(stage.graphql, unverified, self);
  const among = await readMany(stage.graphql, [user(users.verified.userId), user(unverified)], self);

  expect(alone.data?.contactPhone?.number).toBe(users.unverified.phone.number);
  expect(among.data?._entities.map((entity) => entity?.contactPhone?.number)).toEqual([
    undefined,
    users.unverified.phone.number,
  ]);
  expect(among.errors).toMatchObject([{ path: ['_entities', 0, 'contactPhone'] }]);
  expect(among.errors?.[0]?.extensions).toEqual({ ...userUnknown, userId: users.verified.userId });
});

test.for([
  [1, 'one call', 1],
  [2, 'one call', 1],
  [100, 'one call', 1],
  [101, 'two calls', 2],
  [250, 'three calls', 3],
] as const)('reads users in the requested order: %i in %s', async ([count, , calls]) => {
  const people = crowd(300);
  await using stage = await openStage({}, { moreUsers: people });
  // The second id, and every fiftieth after it, does not exist. The order is neither ascending nor descending, unlike ZITADEL's:
  // first every other id, then the rest. Every tenth representation is duplicated.
  const ids = people.slice(0, count).map(({ userId }, index) => (index % 50 === 1 ? `${missing}${index}` : userId));
  const mixed = [...ids.filter((_, index) => index % 2 === 1), ...ids.filter((_, index) => index % 2 === 0)];
  const asked = mixed.flatMap((id, index) => (index % 10 === 0 ? [id, id] : [id]));
  const phones = new Map(people.map(({ userId, phone }) => [userId, phone]));

  const { data, errors = [] } = await readMany(stage.graphql, asked.map(user));

  expect(data?._entities).toEqual(asked.map((id) => ({ contactPhone: phones.get(id) ?? null })));
  const unknown = asked.flatMap((id, index) => (id.startsWith(missing) ? [index] : []));
  expect(new Map(errors.map(({ path, extensions }) => [String(path), extensions]))).toEqual(
    new Map(unknown.map((index) => [`_entities,${index},contactPhone`, { ...userUnknown, userId: asked[index] }])),
  );
  expect(stage.zitadel.calls).toHaveLength(calls);
  const lists = stage.zitadel.calls
    .filter(({ rpc }) => rpc === 'ListUsers')
    .map(
      ({ body }) =>
        JSON.parse(body) as { query: { limit: number }; queries: [{ inUserIdsQuery: { userIds: string[] } }] },
    )
    .map(({ query, queries }) => ({ limit: query.limit, asked: queries[0].inUserIdsQuery.userIds.length }));
  expect(lists.filter(({ limit, asked }) => asked > 100 || !(limit >= asked))).toEqual([]);
});

test.for([2, 100, 101, 201])(
  'does not reveal in a list of %i users whether one is missing or forbidden',
  async (count) => {
    const people = crowd(count - 1);
    await using stage = await openStage({}, { moreUsers: people });
    const { userId } = users.foreign;
    // The last one would be alone in the second call for 101 users.
    const asked = [...people.map((person) => person.userId), userId];

    const { data, errors } = await readMany(stage.graphql, asked.map(user));

    expect(data?._entities).toEqual([...people.map(({ phone }) => ({ contactPhone: phone })), { contactPhone: null }]);
    expect(errors).toMatchObject([{ path: ['_entities', count - 1, 'contactPhone'] }]);
    expect(errors?.[0]?.extensions).toEqual({ ...userUnknown, userId });
    expect(stage.rpcs()).toEqual(Array(Math.ceil(count / 100)).fill('ListUsers'));
  },
);

test('reports the user with every error of a call that failed for all of its users', async () => {
  const people = crowd(2);
  await using stage = await openStage({}, { moreUsers: people });
  stage.zitadel.misbehave(answered({ code: 13 }, 500));

  const { errors } = await readMany(
    stage.graphql,
    people.map(({ userId }) => user(userId)),
  );

  expect(errors?.map(({ extensions }) => extensions)).toEqual(
    people.map(({ userId }) => ({
      code: 'UPSTREAM_ERROR',
      userId,
      zitadel: { code: 13, status: 'INTERNAL', httpStatus: 500 },
    })),
  );
  expect(stage.zitadel.calls).toHaveLength(1);
});

test('reads a user once, even if one request asks for them twice', async () => {
  await using stage = await openStage();
  const query = `query ($id: ID!) {
    first: contactPhone(userId: $id) { number }
    second: contactPhone(userId: $id) { isVerified }
  }`;

  const { data } = await post(stage.graphql, { query, variables: { id: unverified } }, manager);

  expect(data).toEqual({ first: { number: '+41791234567' }, second: { isVerified: false } });
  expect(stage.zitadel.calls).toHaveLength(1);
});

test.for([
  ['selects no phone', ''],
  ['skips the phone', 'contactPhone @skip(if: true) { number }'],
  ['does not include the phone', '... on User @include(if: false) { contactPhone { number } }'],
])('does not call ZITADEL when a router %s', async ([, selection]) => {
  const stage = shared();
  const query = `query ($of: [_Any!]!) { _entities(representations: $of) { __typename ... on User { id ${selection} } } }`;

  const { data } = await post(stage.graphql, { query, variables: { of: [user(unverified)] } }, manager);

  expect(data).toEqual({ _entities: [user(unverified)] });
  expect(stage.zitadel.calls).toEqual([]);
});

test('reads phones that a router selects conditionally', async () => {
  const stage = shared();
  const query = `query ($of: [_Any!]!, $wanted: Boolean!) {
    _entities(representations: $of) { ... on User { id contactPhone @include(if: $wanted) { number } } }
  }`;
  const ask = (wanted: boolean) =>
    post(stage.graphql, { query, variables: { of: [user(unverified)], wanted } }, manager);

  const { data } = await ask(true);
  const { data: without } = await ask(false);

  expect(data).toEqual({ _entities: [{ id: unverified, contactPhone: { number: '+41791234567' } }] });
  expect(without).toEqual({ _entities: [{ id: unverified }] });
  expect(stage.zitadel.calls).toHaveLength(1);
});

test('reads phones selected in a fragment and under aliases in one call', async () => {
  const people = crowd(3);
  await using stage = await openStage({}, { moreUsers: people });
  const query = `
    query ($of: [_Any!]!) { _entities(representations: $of) { ...Phone } again: _entities(representations: $of) { ...Phone } }
    fragment Phone on User { phone: contactPhone { number } }`;
  const of = people.map(({ userId }) => user(userId));

  const { data } = await post(stage.graphql, { query, variables: { of } }, manager);

  const phones = people.map(({ phone }) => ({ phone: { number: phone.number } }));
  expect(data).toEqual({ _entities: phones, again: phones });
  expect(stage.zitadel.calls).toMatchObject([{ rpc: 'ListUsers' }]);
});

test('fails only the representation with a bad id', async () => {
  const stage = shared();
  const bad = [
    ...['1/passkeys', '', '..', 'a'.repeat(201), 'a'.repeat(500_000), '\ud800', '1\0'].map(user),
    user(7),
    user(null),
    { __typename: 'User' },
    { __typename: 'ContactPhone', id: '1' },
    { id: '1' },
    5,
    [],
  ];

  const { status, text, data, errors } = await readMany(stage.graphql, [
    user(unverified),
    ...bad,
    user(users.verified.userId),
  ]);

  expect(status).toBe(200);
  expect(data?._entities).toEqual([
    { contactPhone: users.unverified.phone },
    ...bad.map(() => null),
    { contactPhone: users.verified.phone },
  ]);
  expect(new Set(errors?.map(({ path }) => String(path)))).toEqual(
    new Set(bad.map((_, index) => `_entities,${1 + index}`)),
  );
  // The first seven are users, whose ids are bad.
  expect(new Map(errors?.map(({ path, extensions }) => [Number(path?.[1]), extensions]))).toEqual(
    new Map(
      bad.map((_, index) => [
        1 + index,
        index < 7
          ? { code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID' }
          : { code: 'BAD_USER_INPUT', reason: 'REPRESENTATION_INVALID' },
      ]),
    ),
  );
  expect(stage.zitadel.calls).toHaveLength(1);
  expect(JSON.parse(stage.zitadel.calls[0]?.body ?? '')).toMatchObject({
    queries: [{ inUserIdsQuery: { userIds: [unverified, users.verified.userId] } }],
  });
  expect(text).not.toContain('aaa');
  expect(stage.lines.join('')).not.toContain('Unexpected error');
});

test('never shows one caller what only another may read, even with concurrent requests', async () => {
  await using stage = await openStage();
  const both = gate();
  stage.zitadel.misbehave({ hold: both.opened }, { hold: both.opened }, { hold: both.opened }, { hold: both.opened });
  const outsider = bearer(tokens.outsider.token);
  const many = [user(unverified), user(users.foreign.userId)];

  const answers = Promise.all([
    readMany(stage.graphql, many, manager),
    readMany(stage.graphql, many, outsider),
    readOne(stage.graphql, unverified, manager),
    readOne(stage.graphql, unverified, outsider),
  ]);
  await stage.zitadel.called(4);
  both.open();

  const [ours, theirs, one, none] = await answers;
  expect(ours.data?._entities).toEqual([{ contactPhone: users.unverified.phone }, { contactPhone: null }]);
  expect(theirs.data?._entities).toEqual([{ contactPhone: null }, { contactPhone: users.foreign.phone }]);
  expect(one.data).toMatchObject({ contactPhone: users.unverified.phone });
  expect(none.data).toEqual({ contactPhone: null });
  expect(stage.zitadel.calls).toHaveLength(4);
});

test('forgets what it has read when the request ends', async () => {
  await using stage = await openStage();

  await readOne(stage.graphql, unverified);
  await readOne(stage.graphql, unverified);

  expect(stage.zitadel.calls).toHaveLength(2);
});

test('each mutation returns the phone as it is afterwards', async () => {
  await using stage = await openStage();
  const query = `mutation ($id: ID!) {
    first: resendContactPhoneCode(userId: $id, mode: RETURN_CODE) { user { id contactPhone { isVerified } } }
    second: resendContactPhoneCode(userId: $id, mode: RETURN_CODE) { user { id contactPhone { isVerified } } }
  }`;
  const proper = { hold: Promise.resolve() };
  // ZITADEL's answers for the user: the phone is verified between the two reads.
  const then = (phone: object) => answered({ user: { userId: unverified, human: { phone } } });
  stage.zitadel.misbehave(
    proper,
    then({ phone: '+41791234567' }),
    proper,
    then({ phone: '+41791234567', isVerified: true }),
  );

  const { data } = await post(stage.graphql, { query, variables: { id: unverified } }, manager);

  expect(data).toEqual({
    first: { user: { id: unverified, contactPhone: { isVerified: false } } },
    second: { user: { id: unverified, contactPhone: { isVerified: true } } },
  });
  expect(stage.rpcs()).toEqual(['ResendPhoneCode', 'GetUserByID', 'ResendPhoneCode', 'GetUserByID']);
});

test('keeps the new code when the user cannot be read after the mutation', async () => {
  await using stage = await openStage();
  stage.zitadel.misbehave({ hold: Promise.resolve() }, { answer: { status: 500 } });
  const query = `mutation ($id: ID!) {
    resendContactPhoneCode(userId: $id, mode: RETURN_CODE) { verificationCode user { contactPhone { number } } }
  }`;

  const { data, errors } = await post(stage.graphql, { query, variables: { id: unverified } }, manager);

  expect(data).toEqual({
    resendContactPhoneCode: {
      verificationCode: stage.zitadel.pendingCode(unverified),
      user: { contactPhone: null },
    },
  });
  expect(errors).toMatchObject([
    {
      path: ['resendContactPhoneCode', 'user', 'contactPhone'],
      message: 'The user service failed. The change itself was made.',
    },
  ]);
  expect(errors?.[0]?.extensions).toEqual({ code: 'UPSTREAM_ERROR', outcome: 'DONE', zitadel: { httpStatus: 500 } });
});
