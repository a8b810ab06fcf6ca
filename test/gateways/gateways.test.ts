import { expect, onTestFinished, test, vi } from 'vitest';
import { tokens, users } from '../../src/embedded-zitadel/population.js';
import { crowd } from '../support/crowd.js';
import { extensionKeys } from '../support/extensions.js';
import { gateways, openApolloGateway, openSupergraph } from './gateways.js';
import { bearer, manager, post, unverified } from '../support/stage.js';

const resendAndRead = `mutation ($userId: ID!, $mode: PhoneCodeMode!) {
  resendContactPhoneCode(userId: $userId, mode: $mode) {
    details { sequence changeDate resourceOwner }
    verificationCode
    user { id name contactPhone { number isVerified } }
  }
}`;

interface Resent {
  resendContactPhoneCode: { details: object; verificationCode: string | null; user: object } | null;
}

test.for(gateways)('%s: resends in both modes, and joins the user of the answer', async ([, openGateway]) => {
  await using supergraph = await openSupergraph(openGateway);
  const { zitadel, url } = supergraph;
  const resend = (mode: string) =>
    post<Resent>(url, { query: resendAndRead, variables: { userId: unverified, mode } }, manager);

  const sent = await resend('SEND_CODE');
  const returned = await resend('RETURN_CODE');

  const user = { id: unverified, name: `Name of ${unverified}`, contactPhone: users.unverified.phone };
  expect([sent.errors, returned.errors]).toEqual([undefined, undefined]);
  expect(sent.data?.resendContactPhoneCode).toMatchObject({ details: { sequence: '2' }, verificationCode: null, user });
  expect(returned.data?.resendContactPhoneCode).toMatchObject({
    details: { sequence: '3', resourceOwner: users.unverified.organisation },
    verificationCode: zitadel.pendingCode(unverified),
    user,
  });
  expect(zitadel.outbox).toHaveLength(1);
  expect(zitadel.calls.map(({ rpc }) => rpc)).toEqual([
    'GetUserByID',
    'ResendPhoneCode',
    'GetUserByID',
    'ResendPhoneCode',
    'GetUserByID',
  ]);
  expect(zitadel.writes.map(({ body }) => JSON.parse(body) as object)).toMatchObject([
    { sendCode: {} },
    { returnCode: {} },
  ]);
});

const json = { 'content-type': 'application/json' };

test.for(gateways)('%s: lets the whole error through', async ([, openGateway]) => {
  await using supergraph = await openSupergraph(openGateway);
  const { stage, zitadel, url, ownSecret } = supergraph;
  const notDone = { outcome: 'NOT_DONE' };
  const cases: [object, Record<string, string>, string, Parameters<typeof zitadel.misbehave>[0]?][] = [
    [{ code: 'UNAUTHENTICATED', reason: 'TOKEN_MISSING', ...notDone }, {}, unverified],
    [{ code: 'UNAUTHENTICATED', reason: 'TOKEN_REFUSED', ...notDone }, bearer(tokens.expired.token), unverified],
    [{ code: 'FORBIDDEN', reason: 'PERMISSION_MISSING', ...notDone }, bearer(tokens.outsider.token), unverified],
    [{ code: 'NOT_FOUND', reason: 'USER_UNKNOWN', ...notDone }, manager, '999999999999999999'],
    [{ code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID', ...notDone, argument: 'userId' }, manager, '..'],
    [{ code: 'FAILED_PRECONDITION', reason: 'ALREADY_VERIFIED', ...notDone }, manager, users.verified.userId],
    [
      { code: 'RATE_LIMITED', reason: 'UPSTREAM_QUOTA', ...notDone, retryAfter: 7 },
      manager,
      unverified,
      { answer: { status: 429, headers: { ...json, 'retry-after': '7' }, body: '{}' } },
    ],
    [
      { code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST', outcome: 'UNKNOWN' },
      manager,
      unverified,
      { reset: true },
    ],
    [{ code: 'UPSTREAM_ERROR', outcome: 'UNKNOWN' }, manager, unverified, { answer: { status: 200, headers: json } }],
  ];
  const query = 'mutation ($userId: ID!) { it: resendContactPhoneCode(userId: $userId) { verificationCode } }';

  for (const [expected, headers, userId, misbehaviour] of cases) {
    const body = { query, variables: { userId } };
    if (misbehaviour) zitadel.misbehaveWhenWriting(misbehaviour, misbehaviour);
    const direct = await post(stage.graphql, body, { ...headers, ...ownSecret });
    const { status, data, errors } = await post(url, body, headers);

    expect({ status, data }).toEqual({ status: 200, data: { it: null } });
    expect(errors).toHaveLength(1);
    expect(errors?.[0]).toMatchObject({ message: direct.errors?.[0]?.message, path: ['it'] });
    // Gateways add their own keys.
    const extensions = Object.entries(errors?.[0]?.extensions ?? {}).filter(([key]) => extensionKeys.includes(key));
    expect(Object.fromEntries(extensions)).toEqual(direct.errors?.[0]?.extensions);
    expect(direct.errors?.[0]?.extensions).toMatchObject(expected);
  }
});

test.for(gateways)(
  "%s: hands on the caller's token, language and request id, and shows its own secret",
  async ([, openGateway]) => {
    await using supergraph = await openSupergraph(openGateway);
    const caller = {
      ...manager,
      'accept-language': 'de-CH',
      'x-request-id': 'id-of-the-caller',
      cookie: 'a=b',
      'x-router-secret': 'of the caller',
    };

    const query = `{ user(id: "${unverified}") { name contactPhone { number } } }`;
    const { data, errors } = await post(supergraph.url, { query }, caller);

    expect(errors).toBeUndefined();
    expect(data).toEqual({ user: { name: `Name of ${unverified}`, contactPhone: { number: '+41791234567' } } });
    expect(supergraph.zitadel.calls).toMatchObject([{ headers: { ...manager, 'accept-language': 'de-CH' } }]);
    expect(supergraph.zitadel.calls[0]?.headers).not.toHaveProperty('cookie');
    expect(supergraph.zitadel.calls[0]?.headers).not.toHaveProperty('x-router-secret');
    expect(supergraph.stage.lines.join('')).toContain('"requestId":"id-of-the-caller"');
  },
);

test.for(gateways)('%s: reads the phones of a hundred users in one call', async ([, openGateway]) => {
  const people = crowd(100);
  await using supergraph = await openSupergraph(openGateway, { moreUsers: people });
  const query = 'query ($ids: [ID!]!) { users(ids: $ids) { id name contactPhone { number isVerified } } }';
  // One of them is known to the other subgraph, but no longer to ZITADEL.
  const ids = people.map(({ userId }, index) => (index === 42 ? '999999999999999999' : userId));

  const { data, errors } = await post(supergraph.url, { query, variables: { ids } }, manager);

  expect(data).toEqual({
    users: people.map(({ phone }, index) => ({
      id: ids[index],
      name: `Name of ${ids[index]}`,
      contactPhone: index === 42 ? null : phone,
    })),
  });
  // Hive Gateway omits list indexes.
  const path = openGateway === openApolloGateway ? ['users', 42, 'contactPhone'] : ['users', 'contactPhone'];
  expect(errors).toMatchObject([
    { path, extensions: { code: 'NOT_FOUND', reason: 'USER_UNKNOWN', userId: '999999999999999999' } },
  ]);
  expect(errors?.[0]?.extensions).not.toHaveProperty('outcome');
  expect(supergraph.zitadel.calls).toMatchObject([{ rpc: 'ListUsers' }]);
});

test.for(gateways)('%s: sends a mutation once, even if ZITADEL answers 503', async ([, openGateway]) => {
  await using supergraph = await openSupergraph(openGateway);
  supergraph.zitadel.misbehaveWhenWriting({ answer: { status: 503, headers: json, body: '{"code":14}' } });
  const query = 'mutation ($userId: ID!) { resendContactPhoneCode(userId: $userId) { verificationCode } }';

  const { data, errors } = await post(supergraph.url, { query, variables: { userId: unverified } }, manager);

  expect(data).toEqual({ resendContactPhoneCode: null });
  expect(errors).toMatchObject([
    {
      extensions: {
        code: 'UPSTREAM_UNAVAILABLE',
        reason: 'SAYS_UNAVAILABLE',
        zitadel: { code: 14, status: 'UNAVAILABLE', httpStatus: 503 },
        outcome: 'UNKNOWN',
      },
    },
  ]);
  expect(supergraph.zitadel.writes).toHaveLength(1);
});

test.for(gateways)('%s: refuses a number or a code of the wrong type without repeating it', async ([, openGateway]) => {
  // By default, Apollo Server then adds the stack of an error, which includes the original message.
  vi.stubEnv('NODE_ENV', 'development');
  onTestFinished(() => void vi.unstubAllEnvs());
  await using supergraph = await openSupergraph(openGateway);
  const { stage, zitadel, url } = supergraph;
  const set = (type: string, number: string) =>
    `mutation ${type} { it: setContactPhone(userId: "1", number: ${number}) { user { id } } }`;
  const verify = (type: string, code: string) =>
    `mutation ${type} { it: verifyContactPhone(userId: "1", verificationCode: ${code}) { user { id } } }`;

  for (const [reason, message, body] of [
    ['NUMBER_INVALID', 'The phone number must be a string.', { query: set('', '791234567') }],
    [
      'NUMBER_INVALID',
      'The phone number must be a string.',
      { query: set('($v: PhoneNumber!)', '$v'), variables: { v: 791234567 } },
    ],
    [
      'NUMBER_WITHOUT_COUNTRY_CODE',
      'The phone number must begin with + and a country calling code, such as +41.',
      { query: set('', '"791234567"') },
    ],
    ['NUMBER_INVALID', 'The phone number is not valid.', { query: set('', '"+791234567"') }],
    [
      'CODE_MALFORMED',
      'The verification code must have 1 to 20 characters.',
      { query: verify('', '"791234567-791234567-7"') },
    ],
    ['CODE_MALFORMED', 'The verification code must be a string.', { query: verify('', '791234567') }],
    [
      'CODE_MALFORMED',
      'The verification code must be a string.',
      { query: verify('($v: VerificationCode!)', '$v'), variables: { v: 791234567 } },
    ],
    [
      'CODE_MALFORMED',
      'The verification code must be a string.',
      { query: verify('($v: VerificationCode!)', '$v'), variables: { v: ['791234567'] } },
    ],
  ] as const) {
    const { status, text, data, errors } = await post(url, body, manager);

    expect({ status, data }).toEqual({ status: 200, data: { it: null } });
    expect(errors).toMatchObject([
      { message, path: ['it'], extensions: { code: 'BAD_USER_INPUT', reason, outcome: 'NOT_DONE' } },
    ]);
    expect(text).not.toContain('791234567');
  }

  // Gateways validate built-in types themselves, without calling the subgraph.
  for (const [message, body] of [
    [
      'Value …',
      { query: 'mutation { setContactPhone(userId: "1", number: "+41", mode: M791234567) { user { id } } }' },
    ],
    [
      'Variable "$v" got invalid value …',
      {
        query: 'mutation ($v: ID!) { verifyContactPhone(userId: $v, verificationCode: "S3CR3T") { user { id } } }',
        variables: { v: ['791234567'] },
      },
    ],
  ] as const) {
    const { text, errors } = await post(url, body, manager);

    expect(errors).toMatchObject([{ message }]);
    expect(text).not.toContain('791234567');
  }

  expect(zitadel.calls).toEqual([]);
  expect(stage.lines.join('')).not.toContain('791234567');
});
