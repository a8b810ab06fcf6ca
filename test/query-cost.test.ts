import { expect, test } from 'vitest';
import type { EmbeddedUser } from '../src/embedded-zitadel/population.js';
import { maxAnswerBytes, maxPhones, maxRepresentations } from '../src/graphql/query-cost.js';
import { maxErrorIdLength } from '../src/zitadel/answer.js';
import { crowd } from './support/crowd.js';
import { user } from './support/reads.js';
import { shareStage } from './support/shared-stage.js';
import { bearer, manager, openStage, post, unverified, zitadelApi } from './support/stage.js';

/** For queries that are refused. */
const shared = shareStage({ BODY_LIMIT: '3000000' });

const times = (count: number, part: (index: number) => string) =>
  Array.from({ length: count }, (_, index) => part(index)).join(' ');
const people = (count: number) => crowd(count).map(({ userId }) => user(userId));

/** Queries users, with these fields of each. */
const ofUsers = (fields: string, more = '') => `query ($of: [_Any!]!) {
  _entities(representations: $of) { ... on User { ${fields} } } ${more}
}`;
const again = (alias: string) =>
  `${alias}: _entities(representations: $of) { ... on User { contactPhone { number } } }`;

const tooMuch = { code: 'BAD_USER_INPUT', reason: 'TOO_MUCH_AT_ONCE', outcome: 'NOT_DONE' };
const representations = `A request may ask for at most ${maxRepresentations} representations.`;
const phones = `A request may ask for at most ${maxPhones} contact phones; each alias counts.`;
const bytes = `The answer could exceed ${maxAnswerBytes} bytes: ask for less in one request.`;

test.for([
  ['too many representations', ofUsers('id'), 5_001, representations],
  ['too many items that are no representations', ofUsers('contactPhone { number }'), 500_000, representations],
  [
    'too many representations under several names',
    ofUsers('id', `${again('b')} ${again('c')}`),
    1_667,
    representations,
  ],
  ['phones under many names', ofUsers(times(48, (i) => `a${i}: contactPhone { number }`)), 5_000, phones],
  ['phones under two names', ofUsers('contactPhone { number } b: contactPhone { number }'), 2_501, phones],
  [
    '`resendAvailableAt` under two names',
    ofUsers('contactPhone { a: resendAvailableAt b: resendAvailableAt number }'),
    2_501,
    phones,
  ],
  [
    '`resendAvailableAt` under a long name',
    ofUsers(`contactPhone { ${'a'.repeat(99)}: resendAvailableAt ${times(20, (i) => `a${i}: number`)} }`),
    3_000,
    bytes,
  ],
  [
    'phones under names in fragments',
    `${ofUsers('...A ... on User { ...A b: contactPhone { number } }')} fragment A on User { a: contactPhone { number } }`,
    2_501,
    phones,
  ],
  ['ids under many names', ofUsers(times(49, (i) => `a${i}: id`)), 5_000, bytes],
  ['types under many names', ofUsers(times(49, (i) => `a${i}: __typename`)), 5_000, bytes],
  ['numbers under many names', ofUsers(`contactPhone { ${times(49, (i) => `a${i}: number`)} }`), 5_000, bytes],
  ['a long name', ofUsers(`${'a'.repeat(100)}: contactPhone { number }`), 5_000, bytes],
  [
    'the schema and many users',
    ofUsers(
      '__typename id contactPhone { number }',
      times(40, (i) => `a${i}: _service { sdl }`),
    ),
    5_000,
    bytes,
  ],
] as const)('refuses a query before any of it runs: %s', async ([, query, count, message]) => {
  const stage = shared();
  const of = count === 500_000 ? Array(count).fill(1) : people(count);

  const { status, text, data, errors } = await post(stage.graphql, { query, variables: { of } }, manager);

  expect({ status, data, errors }).toEqual({
    status: 200,
    data: undefined,
    errors: [{ message, extensions: tooMuch }],
  });
  expect(text.length).toBeLessThan(250);
  expect(stage.zitadel.calls).toEqual([]);
  expect(stage.lines.at(-1)).toContain('"code":"BAD_USER_INPUT","reason":"TOO_MUCH_AT_ONCE","outcome":"NOT_DONE"');
});

test.for([
  ['under many names', (i: number) => `a${i}: id`],
  ['in the errors of many phones', (i: number) => `a${i}: contactPhone { number }`],
] as const)('counts the bytes of long ids %s', async ([, field]) => {
  const stage = shared();
  // The longest id that Connect takes.
  const of = Array(300).fill(user('💌'.repeat(200)));

  const { errors } = await post(stage.graphql, { query: ofUsers(times(10, field)), variables: { of } }, manager);

  expect(errors).toEqual([{ message: bytes, extensions: tooMuch }]);
  expect(stage.zitadel.calls).toEqual([]);
});

// With these, the whole answer could be users that are read by id.
const manyAliases = { MAX_ALIASES: '1000', MAX_TOKENS: '10000', BODY_LIMIT: '3000000' };
const usersById = (count: number, fields: string) =>
  times(count, (i) => `u${i}: contactPhoneUser(userId: $id) { ${fields} }`);
const [person] = crowd(1);
/** This user has the longest id that ZITADEL's API takes. */
const longest = { ...person, userId: (zitadelApi === 'connect' ? '💌' : 'x').repeat(200) } as EmbeddedUser;

test.for([
  ['many users', usersById(700, 'id'), ''],
  ['many ids of each', usersById(30, '...Ids'), `fragment Ids on User { ${times(32, (i) => `a${i}: id`)} }`],
])('answers for users that are read by id, whether they exist or not: %s', async ([, fields, fragment]) => {
  await using stage = await openStage(manyAliases, { moreUsers: [longest] });
  const query = `query ($id: ID!) { ${fields} } ${fragment}`;
  const ask = (id: string) => post<object>(stage.graphql, { query, variables: { id } }, manager);

  const found = await ask(longest.userId);
  const missing = await ask(longest.userId.replace(/^./u, '1'));

  expect(found.errors).toBeUndefined();
  expect(missing.errors).toHaveLength(Object.keys(found.data ?? {}).length);
  for (const { text } of [found, missing]) expect(Buffer.byteLength(text)).toBeLessThan(maxAnswerBytes);
  expect(stage.rpcs()).toEqual(['GetUserByID', 'GetUserByID']);
});

test('counts users that are read by id together with all others', async () => {
  await using stage = await openStage(manyAliases);
  const query = `query ($of: [_Any!]!, $id: ID!) {
    _entities(representations: $of) { ... on User { id contactPhone { number } } } ${usersById(700, 'id')}
  }`;
  const variables = { of: people(5_000), id: unverified };

  const { errors } = await post(stage.graphql, { query, variables }, manager);

  expect(errors).toEqual([{ message: bytes, extensions: tooMuch }]);
  expect(stage.zitadel.calls).toEqual([]);
});

test('counts representations in the document and in the default of a variable', async () => {
  await using stage = await openStage({ MAX_TOKENS: '5000' });
  const ones = '1 '.repeat(1_700);
  const query = `query ($of: [_Any!]! = [${ones}], $one: _Any! = 1) {
    a: _entities(representations: [${ones}]) { __typename }
    b: _entities(representations: $of) { __typename }
    c: _entities(representations: [$one]) { __typename }
  }`;
  const again = query.replace(/\}$/, 'd: _entities(representations: $of) { __typename } }');

  // None of these is valid, and each fails on its own.
  expect((await post(stage.graphql, { query })).errors).toHaveLength(3_401);
  expect((await post(stage.graphql, { query: again })).errors).toMatchObject([{ message: representations }]);
});

test(
  'answers for the maximum number of users, whether they exist or not, and never drops an error',
  { timeout: 120_000 },
  async () => {
    await using stage = await openStage({}, { moreUsers: crowd(5_000) });
    const query = ofUsers('__typename id contactPhone { __typename number isVerified }');
    const ask = (headers: Record<string, string>, of: unknown[] = people(5_000)) =>
      post<{ _entities: { contactPhone: object | null }[] }>(stage.graphql, { query, variables: { of } }, headers);

    const found = await ask(manager);
    const nameless = await ask({});
    const forged = await ask(bearer('forged'));
    const invalid = await ask(manager, Array(5_000).fill(user(7)));

    expect(found.errors).toBeUndefined();
    expect(found.data?._entities.at(-1)?.contactPhone).toMatchObject({ number: '+41791004999' });
    expect(nameless.errors).toHaveLength(5_000);
    expect(forged.errors).toHaveLength(5_000);
    expect(invalid.errors).toHaveLength(5_000);
    expect(forged.errors?.at(-1)).toMatchObject({
      path: ['_entities', 4_999, 'contactPhone'],
      extensions: {
        code: 'UNAUTHENTICATED',
        reason: 'TOKEN_REFUSED',
        userId: crowd(5_000).at(-1)?.userId,
        zitadel: { code: 16, httpStatus: 401, id: 'AUTH-7fs1e' },
      },
    });
    for (const { text } of [found, nameless, forged, invalid]) expect(text.length).toBeLessThan(maxAnswerBytes);
  },
);

test("omits only ZITADEL's words from an answer that they would make too large", { timeout: 120_000 }, async () => {
  await using stage = await openStage();
  const long = { code: 7, message: 'm'.repeat(250), details: [{ '@type': 'some.type', text: 'd'.repeat(500) }] };
  const refusal = {
    answer: { status: 403, headers: { 'content-type': 'application/json' }, body: JSON.stringify(long) },
  };
  const ask = (count: number) => {
    stage.zitadel.misbehave(...Array<typeof refusal>(Math.ceil(count / 100)).fill(refusal));
    return post(
      stage.graphql,
      { query: ofUsers('contactPhone { number }'), variables: { of: people(count) } },
      manager,
    );
  };

  const few = await ask(2);
  const many = await ask(5_000);

  expect(few.errors).toMatchObject(Array(2).fill({ extensions: { zitadel: long } }));
  expect(many.text.length).toBeLessThan(maxAnswerBytes);
  expect(many.errors).toHaveLength(5_000);
  expect(many.errors?.map(({ extensions }) => extensions)).toEqual(
    crowd(5_000).map(({ userId }) => ({
      code: 'FORBIDDEN',
      reason: 'PERMISSION_MISSING',
      userId,
      zitadel: { code: 7, httpStatus: 403 },
    })),
  );
});

test(
  'keeps an answer within the limit even if every error is as large as it can be',
  { timeout: 120_000 },
  async () => {
    await using stage = await openStage();
    const details = [{ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id: 'X'.repeat(maxErrorIdLength) }];
    const answer = {
      status: 429,
      headers: { 'content-type': 'application/json', 'retry-after': 'Fri, 31 Dec 9999 23:59:59 GMT' },
      body: JSON.stringify({ code: 8, message: 'm'.repeat(1_000), details }),
    };
    stage.zitadel.misbehave(...Array<{ answer: typeof answer }>(50).fill({ answer }));
    const query = ofUsers('__typename id contactPhone { __typename number isVerified }');

    const { text, errors } = await post(stage.graphql, { query, variables: { of: people(5_000) } }, manager);

    expect(text.length).toBeLessThan(maxAnswerBytes);
    expect(errors).toHaveLength(5_000);
    expect(errors?.at(-1)?.extensions).toMatchObject({
      code: 'RATE_LIMITED',
      reason: 'UPSTREAM_QUOTA',
      retryAfter: expect.any(Number) as number,
      zitadel: { code: 8, id: details[0]?.id },
    });
  },
);

test('never stops a mutation that has started', async () => {
  await using stage = await openStage({ MAX_ALIASES: '300', MAX_TOKENS: '5000' });
  const long = 'a'.repeat(95);
  const query = `mutation { ${times(60, (i) => `${long}${i}: resendContactPhoneCode(userId: "1", mode: RETURN_CODE) { user { ${times(4, (j) => `${long}${j}: id`)} } }`)} }`;

  const { status, data, errors } = await post<Record<string, unknown>>(stage.graphql, { query }, manager);

  expect(status).toBe(200);
  expect(Object.keys(data ?? {})).toHaveLength(60);
  expect(errors).toHaveLength(60);
  // After each refusal, the user is read.
  expect(stage.rpcs()).toEqual(Array(60).fill(['ResendPhoneCode', 'GetUserByID']).flat());
});

test('reports null for a condition once, not for each user', async () => {
  await using stage = await openStage();
  const query = `query ($of: [_Any!]!, $wanted: Boolean = true) {
    _entities(representations: $of) { ... on User { contactPhone { number @include(if: $wanted) } } }
  }`;

  const { errors } = await post(stage.graphql, { query, variables: { of: people(100), wanted: null } }, manager);

  expect(errors).toEqual([
    {
      message: 'Argument "if" of non-null type "Boolean!" must not be null.',
      extensions: { code: 'BAD_USER_INPUT', reason: 'VARIABLES_INVALID', outcome: 'NOT_DONE' },
    },
  ]);
  expect(stage.zitadel.calls).toEqual([]);
});

test('counts each request on its own, even if the same document asked for less before', async () => {
  await using stage = await openStage();
  const plain = ofUsers('a: contactPhone { number } b: contactPhone { number }');
  const conditional = `query ($of: [_Any!]!, $twice: Boolean!) {
    _entities(representations: $of) { ... on User { a: contactPhone { number } b: contactPhone @include(if: $twice) { number } } }
  }`;
  const ask = (query: string, count: number, twice?: boolean) =>
    post(stage.graphql, { query, variables: { of: people(count), twice } });
  const refusal = [{ message: phones, extensions: tooMuch }];

  expect((await ask(plain, 1)).errors).not.toEqual(refusal);
  expect((await ask(plain, 2_501)).errors).toEqual(refusal);
  expect((await ask(plain, 1)).errors).not.toEqual(refusal);
  expect((await ask(conditional, 2_501, false)).errors).not.toEqual(refusal);
  expect((await ask(conditional, 2_501, true)).errors).toEqual(refusal);
  expect((await ask(conditional, 2_501, false)).errors).not.toEqual(refusal);
});
