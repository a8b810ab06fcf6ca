import { expect, test } from 'vitest';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { users } from '../src/embedded-zitadel/population.js';
import { crowd } from './support/crowd.js';
import { manager, unverified } from './support/stage.js';

const hour = 60 * 60 * 1000;
const path = `/v2/users/${unverified}/phone/resend`;
const setPath = `/v2/users/${unverified}/phone`;
const verifyPath = `/v2/users/${unverified}/phone/verify`;

const request = async (url: string, init: RequestInit = {}) => {
  const response = await fetch(url, { method: 'POST', headers: manager, body: '{"returnCode":{}}', ...init });
  return { status: response.status, body: (await response.json()) as { verificationCode?: string } };
};

test('creates codes of six capital letters and digits; each replaces the previous one and is valid for an hour', async () => {
  let now = Date.parse('2026-01-01T00:00:00Z');
  await using zitadel = await startEmbeddedZitadel({ now: () => now });

  const first = await request(zitadel.url + path);
  const second = await request(zitadel.url + path);

  expect(first.body.verificationCode).toMatch(/^[A-Z0-9]{6}$/);
  expect(first.body.verificationCode).not.toBe(second.body.verificationCode);
  expect(zitadel.pendingCode(unverified)).toBe(second.body.verificationCode);
  now += hour - 1;
  expect(zitadel.pendingCode(unverified)).toBe(second.body.verificationCode);
  now += 1;
  expect(zitadel.pendingCode(unverified)).toBeUndefined();
});

test('treats an empty or misspelt mode as "send an SMS", as ZITADEL does', async () => {
  await using zitadel = await startEmbeddedZitadel();

  const empty = await request(zitadel.url + path, { body: '{}' });
  const misspelt = await request(zitadel.url + path, { body: '{"returncode":{}}' });

  expect([empty.status, misspelt.status]).toEqual([200, 200]);
  expect(zitadel.outbox).toHaveLength(2);
});

test.for([
  ['both modes', path, { body: '{"sendCode":{},"returnCode":{}}' }, 400, 3],
  [
    'a mode together with a verified phone',
    setPath,
    { body: '{"phone":"+41795550101","sendCode":{},"isVerified":true}' },
    400,
    3,
  ],
  ['a phone that is explicitly unverified', setPath, { body: '{"phone":"+41795550101","isVerified":false}' }, 400, 3],
  ['a phone of more than 200 characters', setPath, { body: JSON.stringify({ phone: '0'.repeat(201) }) }, 400, 3],
  ['a verification without a code', verifyPath, { body: '{}' }, 400, 3],
  ['an empty code', verifyPath, { body: '{"verificationCode":""}' }, 400, 3],
  ['a code of more than 20 characters', verifyPath, { body: '{"verificationCode":"S3CR3T-S3CR3T-S3CR3T-"}' }, 400, 3],
  ['the phone path with another verb', setPath, { method: 'PUT' }, 405, 12],
  ['a body that is not JSON', path, { body: 'sendCode' }, 400, 3],
  ['a body that is not an object', path, { body: '[]' }, 400, 3],
  ['a user id that is too long', `/v2/users/${'1'.repeat(201)}/phone/resend`, {}, 400, 3],
  ['an empty phone, before it looks up the user', '/v2/users/1/phone', { body: '{"phone":""}' }, 400, 3],
  ['an omitted phone', setPath, { body: '{"returnCode":{}}' }, 400, 3],
  ['no Authorization', path, { headers: {} }, 401, 16],
  ['a body that is not JSON, before it checks the token', path, { headers: {}, body: '{' }, 400, 3],
  ['another verb', path, { method: 'PUT' }, 405, 12],
  ['another path', '/v2/organizations', {}, 404, 5],
  ['another verb for a user', `/v2/users/${unverified}`, { method: 'POST' }, 405, 12],
  ['an object that is not a ListUsersRequest', '/v2/users', { body: '{"queries":{}}' }, 400, 3],
  ['an encoded slash', `/v2/users/1%2F2/phone/resend`, {}, 404, 5],
  ['an id that is not ASCII, before it checks the token', '/v2/users/%C3%A9/phone', { headers: {} }, 500, 13],
  ['a token that is not ASCII', path, { headers: { authorization: 'Bearer \u00e9' } }, 500, 13],
  ['another instance', path, { headers: { ...manager, 'x-zitadel-instance-host': 'elsewhere.example.com' } }, 404, 5],
] as const)('refuses %s', async ([, path, init, status, code]) => {
  await using zitadel = await startEmbeddedZitadel();

  const answer = await request(zitadel.url + path, init);

  expect(answer).toMatchObject({ status, body: { code } });
  expect(answer.body).not.toHaveProperty('details');
  expect(zitadel.outbox).toEqual([]);
});

test.for([
  ['is not a number', '{"phone":"no number","returnCode":{}}', 'PHONE-so0wa'],
  ['is already set, typed differently', '{"phone":"+41 79 123 45 67","returnCode":{}}', 'COMMAND-Uch5e'],
  ['is already set, without its country code', '{"phone":"0791234567","isVerified":true}', 'COMMAND-Uch5e'],
] as const)('does not set a phone that %s', async ([, body, id]) => {
  await using zitadel = await startEmbeddedZitadel();

  const answer = await request(zitadel.url + setPath, { body });

  expect(answer).toMatchObject({ status: 400, body: { code: id === 'COMMAND-Uch5e' ? 9 : 3, details: [{ id }] } });
});

test('treats a phone without a country as Swiss, and does not check whether the number is valid', async () => {
  await using zitadel = await startEmbeddedZitadel();

  const answers = [
    await request(zitadel.url + setPath, { body: '{"phone":"0795550101"}' }),
    await request(zitadel.url + setPath, { body: '{"phone":"+41001234567"}' }),
  ];

  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  expect(zitadel.outbox.map(({ number }) => number)).toEqual(['+41795550101', '+41001234567']);
});

test('lists users in the order of their ids, all of them by default', async () => {
  const people = crowd(1200);
  await using zitadel = await startEmbeddedZitadel({ moreUsers: people.toReversed() });
  const userIds = people.map(({ userId }) => userId);
  const list = async (query: object, ...queries: object[]) => {
    const body = JSON.stringify({ query, queries: [{ inUserIdsQuery: { userIds } }, ...queries] });
    const response = await fetch(`${zitadel.url}/v2/users`, { method: 'POST', headers: manager, body });
    return (await response.json()) as { result?: { userId: string }[]; details: object; message?: string };
  };
  const ids = async (query: object) => (await list(query)).result?.map(({ userId }) => userId);

  expect(await ids({ asc: true })).toEqual(userIds);
  expect(await ids({ asc: true, limit: 3 })).toEqual(userIds.slice(0, 3));
  expect(await ids({ limit: 1001 })).toEqual(userIds.toReversed().slice(0, 1001));
  expect((await list({ limit: 3 })).details).toMatchObject({ totalResult: '1200' });
  expect((await list({}, { unknownQuery: {} })).message).toMatch(/^invalid ListUsersRequest\.Queries\[1\]/);
  expect((await list({}, { inUserIdsQuery: {} })).message).toBe('values array must not be empty ()');
});

test('refuses an organisation that does not exist, and ignores any other', async () => {
  await using zitadel = await startEmbeddedZitadel();
  const inOrganisation = (id: string) =>
    request(zitadel.url + path, { headers: { ...manager, 'x-zitadel-orgid': id } });

  expect(await inOrganisation('1')).toMatchObject({ status: 403, body: { code: 7, details: [{ id: 'AUTH-Bs7Ds' }] } });
  expect(await inOrganisation(users.unverified.organisation)).toMatchObject({ status: 200 });
  expect(await inOrganisation(users.foreign.organisation)).toMatchObject({ status: 200 });
});

test('starts with the same users, whatever happened in another instance', async () => {
  await using first = await startEmbeddedZitadel();
  await request(first.url + path);
  await using second = await startEmbeddedZitadel();

  expect(second.pendingCode(unverified)).toBeUndefined();
  expect(users.unverified.phone).toEqual({ number: '+41791234567', isVerified: false });
});

test('records which RPC each call was, and for which user, over both APIs', async () => {
  await using zitadel = await startEmbeddedZitadel();
  const connect = (
    rpc: string,
    body: string,
    headers: Record<string, string> = { 'content-type': 'application/json' },
  ) =>
    fetch(`${zitadel.url}/zitadel.user.v2.UserService/${rpc}`, {
      method: 'POST',
      headers: { ...manager, ...headers },
      body,
    });

  await request(zitadel.url + path);
  await request(`${zitadel.url}/v2/users/a%20b/phone`, { method: 'DELETE', body: null });
  await request(`${zitadel.url}/v2/users`, { body: '{}' });
  await request(zitadel.url + path, { method: 'PUT' });
  await connect('ResendPhoneCode', `{"userId":"${unverified}"}`);
  await connect('RemovePhone', '{"user_id":"1/2 é"}');
  await connect('ListUsers', '{}');
  await connect('VerifyPhone', '{');
  await connect('VerifyPhone', '{}', { 'content-type': 'text/plain' });
  await connect('AddHumanUser', '{}');

  expect(zitadel.calls.map(({ rpc, userId }) => [rpc, userId])).toEqual([
    ['ResendPhoneCode', unverified],
    ['RemovePhone', 'a b'],
    ['ListUsers', undefined],
    [undefined, undefined],
    ['ResendPhoneCode', unverified],
    ['RemovePhone', '1/2 é'],
    ['ListUsers', undefined],
    ['VerifyPhone', undefined],
    [undefined, undefined],
    [undefined, undefined],
  ]);
});

test.for([
  ['GET', '/v2/users/0', null],
  ['GET', '/base/v2/users/0', null],
  ['POST', '/zitadel.user.v2.UserService/GetUserByID', '{"userId":"0"}'],
  ['POST', '/base/zitadel.user.v2.UserService/GetUserByID', '{"userId":"0"}'],
] as const)('counts %s %s without a token as a probe', async ([method, path, body]) => {
  await using zitadel = await startEmbeddedZitadel();
  const headers = { 'content-type': 'application/json' };

  await fetch(zitadel.url + path, { method, body, headers });
  expect([zitadel.probes.length, zitadel.calls.length]).toEqual([1, 0]);
  await fetch(zitadel.url + path, { method, body, headers: { ...headers, ...manager } });
  expect([zitadel.probes.length, zitadel.calls.length]).toEqual([1, 1]);
});

test('sends a ghost SMS if the phone was removed while its code was pending, as ZITADEL does', async () => {
  const shown: string[] = [];
  await using zitadel = await startEmbeddedZitadel({ onSms: ({ number }) => void shown.push(number) });

  await request(zitadel.url + setPath, { method: 'DELETE', body: null });
  const resent = await request(zitadel.url + path, { body: '{"sendCode":{}}' });

  expect(resent.status).toBe(200);
  expect(zitadel.outbox).toMatchObject([{ userId: unverified, number: '' }]);
  expect(shown).toEqual(['']);

  const body = JSON.stringify({ verificationCode: zitadel.pendingCode(unverified) });
  expect((await request(zitadel.url + verifyPath, { body })).status).toBe(200);
  const read = await request(`${zitadel.url}/v2/users/${unverified}`, { method: 'GET', body: null });
  expect(read.body).toMatchObject({ user: { human: { phone: { isVerified: true } } } });
  expect(read.body).not.toHaveProperty('user.human.phone.phone');
});
