import { fromJson, getOption, type JsonValue } from '@bufbuild/protobuf';
import { http } from '@zitadel/proto/google/api/annotations_pb.js';
import { ErrorDetailSchema } from '@zitadel/proto/zitadel/message_pb.js';
import {
  GetUserByIDResponseSchema,
  ListUsersRequestSchema,
  ListUsersResponseSchema,
  UserService,
} from '@zitadel/proto/zitadel/user/v2/user_service_pb.js';
import { expect, test } from 'vitest';
import { users } from '../../src/embedded-zitadel/population.js';
import { mutations } from '../support/mutations.js';
import { readMany, readOne, user } from '../support/reads.js';
import { manager, openStage, unverified } from '../support/stage.js';
import { grpcCodes } from '../support/zitadel.js';

// Validated against ZITADEL's own descriptors. `fromJson` rejects fields that the message does not have.

const phoneRequests = [
  [
    'set-contact-phone',
    { mode: 'SEND_CODE' },
    'setPhone',
    { phone: '+41795550101', verification: { case: 'sendCode' } },
  ],
  [
    'set-contact-phone',
    { mode: 'RETURN_CODE' },
    'setPhone',
    { phone: '+41795550101', verification: { case: 'returnCode' } },
  ],
  [
    'set-contact-phone',
    { mode: 'MARK_VERIFIED' },
    'setPhone',
    { phone: '+41795550101', verification: { case: 'isVerified', value: true } },
  ],
  ['resend-contact-phone-code', { mode: 'SEND_CODE' }, 'resendPhoneCode', { verification: { case: 'sendCode' } }],
  ['resend-contact-phone-code', { mode: 'RETURN_CODE' }, 'resendPhoneCode', { verification: { case: 'returnCode' } }],
  ['verify-contact-phone', {}, 'verifyPhone', { verificationCode: 'S3CR3T' }],
  ['remove-contact-phone', {}, 'removePhone', {}],
] as const;

/** The call at this route, among reads before and after it. */
function sentTo({ zitadel }: Awaited<ReturnType<typeof openStage>>, method: string, path: string) {
  const call = zitadel.calls.find((one) => one.method.toLowerCase() === method && one.path === path);
  expect(call, zitadel.calls.map((one) => `${one.method} ${one.path}`).join()).toBeDefined();
  return { headers: call?.headers, message: JSON.parse(call?.body || '{}') as JsonValue };
}

const connectPath = ({ name }: { name: string }) => `/${UserService.typeName}/${name}`;

test.for(phoneRequests)('%s with %o is sent as %s', async ([name, variables, rpc, message]) => {
  await using stage = await openStage({ ZITADEL_API: 'rest' });

  await stage.run(name, { userId: unverified, ...mutations[name], ...variables });

  const method = UserService.method[rpc];
  const { pattern } = getOption(method, http);
  const sent = sentTo(stage, pattern.case ?? '', (pattern.value as string).replace('{user_id}', unverified));
  expect(fromJson(method.input, sent.message)).toMatchObject(message);
});

test.for(phoneRequests)('%s with %o is sent over Connect as %s', async ([name, variables, rpc, message]) => {
  await using stage = await openStage({ ZITADEL_API: 'connect' });

  await stage.run(name, { userId: unverified, ...mutations[name], ...variables });

  const method = UserService.method[rpc];
  const sent = sentTo(stage, 'post', connectPath(method));
  expect(fromJson(method.input, sent.message)).toMatchObject({ userId: unverified, ...message });
  expect(sent.headers).toMatchObject({ 'content-type': 'application/json', 'connect-protocol-version': '1' });
});

test.for(['rest', 'connect'])('requests several users over %s with a ListUsersRequest that fits them', async (api) => {
  await using stage = await openStage({ ZITADEL_API: api });
  const ids = [users.verified.userId, unverified];

  await readMany(stage.graphql, ids.map(user));

  const { pattern, body } = getOption(UserService.method.listUsers, http);
  expect({ pattern, body }).toMatchObject({ pattern: { case: 'post', value: '/v2/users' }, body: '*' });
  const path = api === 'rest' ? '/v2/users' : connectPath(UserService.method.listUsers);
  const request = fromJson(ListUsersRequestSchema, sentTo(stage, 'post', path).message);
  expect(request.query).toMatchObject({ offset: 0n, limit: 2 });
  expect(request.queries.map(({ query }) => query)).toMatchObject([
    { case: 'inUserIdsQuery', value: { userIds: ids } },
  ]);
});

test('requests one user at the route of GetUserByID', async () => {
  await using stage = await openStage({ ZITADEL_API: 'rest' });

  await readOne(stage.graphql, unverified);

  const { pattern } = getOption(UserService.method.getUserByID, http);
  expect(pattern).toEqual({ case: 'get', value: '/v2/users/{user_id}' });
  expect(stage.zitadel.calls).toMatchObject([{ method: 'GET', path: `/v2/users/${unverified}`, body: '' }]);
  expect(stage.zitadel.calls[0]?.headers).not.toHaveProperty('content-type');
});

test('requests one user over Connect with a GetUserByIDRequest', async () => {
  await using stage = await openStage({ ZITADEL_API: 'connect' });

  await readOne(stage.graphql, unverified);

  const method = UserService.method.getUserByID;
  const { message } = sentTo(stage, 'post', connectPath(method));
  expect(fromJson(method.input, message)).toMatchObject({ userId: unverified });
});

test('probes over Connect with a GetUserByIDRequest without a token', async () => {
  await using stage = await openStage({ ZITADEL_API: 'connect' });

  await stage.zitadel.probed(1);

  const method = UserService.method.getUserByID;
  const [probe] = stage.zitadel.probes;
  expect(probe).toMatchObject({ method: 'POST', path: connectPath(method) });
  expect(probe?.headers).not.toHaveProperty('authorization');
  expect(fromJson(method.input, JSON.parse(probe?.body ?? '') as JsonValue)).toMatchObject({ userId: '0' });
});

test('no route of the user service ends in a verb, so a colon in a user id is harmless', () => {
  const routes = UserService.methods.flatMap((method) => {
    const rule = getOption(method, http);
    return [rule, ...rule.additionalBindings].map(({ pattern }) => pattern.value as string | undefined);
  });

  expect(routes).toContain('/v2/users/{user_id}');
  expect(routes.filter((route) => route?.includes(':'))).toEqual([]);
});

const ask = async (url: string, path: string, body?: string, method = body === undefined ? 'GET' : 'POST') => {
  const response = await fetch(`${url}/v2/users${path}`, { method, headers: manager, body: body ?? null });
  return (await response.json()) as { [key: string]: JsonValue };
};

test('the embedded ZITADEL answers a GetUserByIDResponse', async () => {
  await using stage = await openStage();
  await stage.resend();

  const read = async ({ userId }: { userId: string }) =>
    fromJson(GetUserByIDResponseSchema, await ask(stage.zitadel.url, `/${userId}`)).user;

  expect(await read(users.unverified)).toMatchObject({
    userId: unverified,
    details: { sequence: 2n, resourceOwner: users.unverified.organisation },
    type: { case: 'human', value: { phone: { phone: users.unverified.phone.number, isVerified: false } } },
  });
  expect(await read(users.verified)).toMatchObject({ type: { value: { phone: { isVerified: true } } } });
  expect(await read(users.phoneless)).toMatchObject({ type: { value: { phone: { phone: '', isVerified: false } } } });
  expect(await read(users.machine)).toMatchObject({ type: { case: 'machine' } });
});

test('the embedded ZITADEL answers a ListUsersResponse', async () => {
  await using stage = await openStage();
  const list = async (userIds: string[]) => {
    const request = JSON.stringify({ query: { asc: true }, queries: [{ inUserIdsQuery: { userIds } }] });
    return fromJson(ListUsersResponseSchema, await ask(stage.zitadel.url, '', request));
  };

  const some = await list([users.verified.userId, '1', unverified, users.foreign.userId]);
  const none = await list(['1', users.foreign.userId]);

  expect(some.result.map(({ userId }) => userId)).toEqual([unverified, users.verified.userId]);
  expect(some.details?.totalResult).toBe(2n);
  expect(none).toMatchObject({ result: [], details: { totalResult: 0n } });
});

test('the embedded ZITADEL answers each change of a phone with the response of its RPC', async () => {
  await using stage = await openStage();
  const { zitadel } = stage;
  const change = async (rpc: (typeof phoneRequests)[number][2], below: string, body?: object, method?: string) => {
    const answer = await ask(zitadel.url, `/${unverified}/phone${below}`, body && JSON.stringify(body), method);
    return fromJson(UserService.method[rpc].output, answer);
  };

  const answers = [
    await change('resendPhoneCode', '/resend', { sendCode: {} }),
    await change('resendPhoneCode', '/resend', { returnCode: {} }),
    await change('setPhone', '', { phone: '+41795550101', isVerified: true }),
    await change('setPhone', '', { phone: '+41795550102', sendCode: {} }),
    await change('setPhone', '', { phone: '+41795550103', returnCode: {} }),
    await change('verifyPhone', '/verify', { verificationCode: zitadel.codes[3] }),
    await change('removePhone', '', undefined, 'DELETE'),
  ];

  expect(answers).toMatchObject(
    answers.map((_, index) => ({
      details: { sequence: BigInt(index + 2), resourceOwner: users.unverified.organisation },
    })),
  );
  expect(answers.map((answer) => ('verificationCode' in answer ? answer.verificationCode : undefined))).toEqual([
    undefined,
    zitadel.codes[1],
    undefined,
    undefined,
    zitadel.codes[3],
    undefined,
    undefined,
  ]);
  expect(zitadel.outbox.map(({ number }) => number)).toEqual(['+41791234567', '+41795550102']);
});

test('the embedded ZITADEL refuses with a google.rpc.Status that holds an ErrorDetail', async () => {
  await using stage = await openStage();

  const { code, message, details, ...rest } = await ask(
    stage.zitadel.url,
    `/${users.verified.userId}/phone/resend`,
    '{}',
  );

  expect(rest).toEqual({});
  expect(grpcCodes[code as number]).toBe('FAILED_PRECONDITION');
  const [{ '@type': type, ...detail }] = details as [{ [key: string]: JsonValue }];
  expect(type).toBe(`type.googleapis.com/${ErrorDetailSchema.typeName}`);
  expect(fromJson(ErrorDetailSchema, detail)).toMatchObject({ id: 'PHONE-5xrra88eq8', message: 'Code is empty' });
  expect(message).toBe('Code is empty (PHONE-5xrra88eq8)');
});
