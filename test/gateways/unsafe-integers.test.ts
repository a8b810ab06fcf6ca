import { expect, test } from 'vitest';
import { users } from '../../src/embedded-zitadel/population.js';
import { gateways, openSupergraph } from './gateways.js';
import { manager, openStage, post, unverified } from '../support/stage.js';

// JavaScript reads 301000000000000101 as 301000000000000100, which is the id of another user.
const rounded = { ...users.unverified, userId: String(Number(unverified)) };
const moreUsers = [rounded];

const sendStrings = { message: expect.stringMatching(/^Send ids as strings/) as string };

const refused = (path: (string | number)[], more: object) => [
  {
    ...sendStrings,
    path,
    extensions: { code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID', ...more },
  },
];

/** Writes the user id as a JSON number, which `JSON.stringify` cannot do. */
const asNumber = (body: object) => JSON.stringify(body).replaceAll('"NUMBER"', unverified);

test.for([
  ['contactPhone(userId: $id) { number }', 'query'],
  ['setContactPhone(userId: $id, number: "+41795550101") { user { id } }', 'mutation'],
  ['resendContactPhoneCode(userId: $id) { user { id } }', 'mutation'],
  ['verifyContactPhone(userId: $id, verificationCode: "WRONG1") { user { id } }', 'mutation'],
  ['removeContactPhone(userId: $id) { user { id } }', 'mutation'],
])('acts on nobody if JavaScript has rounded the id: %s', async ([field, kind]) => {
  await using stage = await openStage({}, { moreUsers });
  const query = `${kind} ($id: ID!) { it: ${field} }`;

  const { status, data, errors } = await post(stage.graphql, asNumber({ query, variables: { id: 'NUMBER' } }), manager);

  expect({ status, data }).toEqual({ status: 200, data: { it: null } });
  expect(errors).toEqual(refused(['it'], { argument: 'userId', ...(kind === 'mutation' && { outcome: 'NOT_DONE' }) }));
  expect(stage.zitadel.calls).toEqual([]);
});

test('fails only the representation whose id is a number', async () => {
  await using stage = await openStage({}, { moreUsers });
  const query =
    'query ($of: [_Any!]!) { _entities(representations: $of) { ... on User { id contactPhone { isVerified } } } }';
  const of = ['NUMBER', unverified].map((id) => ({ __typename: 'User', id }));

  const { data, errors } = await post(stage.graphql, asNumber({ query, variables: { of } }), manager);

  expect(data).toEqual({ _entities: [null, { id: unverified, contactPhone: { isVerified: false } }] });
  expect(errors).toEqual(refused(['_entities', 0], {}));
  expect(stage.zitadel.calls).toMatchObject([{ rpc: 'GetUserByID', userId: unverified }]);
});

test.for([
  ['9007199254740993', false],
  ['-9007199254740993', false],
  ['9007199254740992', false],
  ['1e300', false],
  ['9007199254740991', true],
  ['7', true],
])('accepts %s as an id: %s', async ([number, isAccepted]) => {
  await using stage = await openStage();
  const body = `{"query":"query ($id: ID!) { contactPhone(userId: $id) { number } }","variables":{"id":${number}}}`;

  await post(stage.graphql, body, manager);

  expect(stage.zitadel.calls.map(({ userId }) => userId)).toEqual(isAccepted ? [number] : []);
});

test('refuses a large number as a code or a phone, like any other number', async () => {
  await using stage = await openStage();
  const variables = { id: unverified, value: 'NUMBER' };
  const verify =
    'mutation ($id: ID!, $value: VerificationCode!) { verifyContactPhone(userId: $id, verificationCode: $value) { user { id } } }';
  const set =
    'mutation ($id: ID!, $value: PhoneNumber!) { setContactPhone(userId: $id, number: $value) { user { id } } }';

  for (const [query, argument] of [
    [verify, 'verificationCode'],
    [set, 'number'],
  ] as const) {
    const { errors, text } = await post(stage.graphql, asNumber({ query, variables }), manager);

    expect(errors).toMatchObject([{ extensions: { code: 'BAD_USER_INPUT', outcome: 'NOT_DONE', argument } }]);
    expect(text).not.toContain('30100');
  }
  expect(stage.zitadel.calls).toEqual([]);
});

test('survives variables that are nested too deeply for recursion', async () => {
  await using stage = await openStage();
  const nested = (open: string, value: string, close: string) => open.repeat(100_000) + value + close.repeat(100_000);
  const query = '{ __typename }';

  for (const value of [nested('[', unverified, ']'), nested('{"a":', unverified, '}')]) {
    const body = `{"query":${JSON.stringify(query)},"variables":{"v":${value}}}`;
    expect(await post(stage.graphql, body)).toMatchObject({ status: 200, data: { __typename: 'Query' } });
  }
});

test.for(gateways)('%s: acts only on the user that the client meant', async ([, openGateway]) => {
  await using supergraph = await openSupergraph(openGateway, { moreUsers });
  const { zitadel, url } = supergraph;
  const resend = 'resendContactPhoneCode(userId: ID) { user { id } }';
  const read = 'user(id: ID) { id contactPhone { number } }';
  const withVariable = (kind: string, field: string) => `${kind} ($id: ID!) { it: ${field.replace('ID', '$id')} }`;

  for (const query of [withVariable('mutation', resend), withVariable('query', read)]) {
    const { errors } = await post(url, asNumber({ query, variables: { id: 'NUMBER' } }), manager);

    expect(errors).toMatchObject([{ ...sendStrings, extensions: { code: 'BAD_USER_INPUT' } }]);
    expect(zitadel.calls).toEqual([]);
  }

  // In a document, numbers are exact.
  for (const query of [
    `mutation { it: ${resend.replace('ID', unverified)} }`,
    `{ it: ${read.replace('ID', unverified)} }`,
  ]) {
    expect((await post(url, { query }, manager)).errors).toBeUndefined();
  }
  expect(zitadel.calls.map(({ rpc, userId }) => [rpc, userId])).toEqual([
    ['GetUserByID', unverified],
    ['ResendPhoneCode', unverified],
    ['GetUserByID', unverified],
  ]);
});
