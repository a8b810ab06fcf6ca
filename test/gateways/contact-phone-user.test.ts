import { expect, test } from 'vitest';
import { tokens, users } from '../../src/embedded-zitadel/population.js';
import { bearer, manager, post, unverified } from '../support/stage.js';
import { gateways, openSupergraph } from './gateways.js';

const read = (url: string, userId: string, headers: Record<string, string>, fields = 'id name') => {
  const query = `query ($userId: ID!) { contactPhoneUser(userId: $userId) { ${fields} } }`;
  return post<{ contactPhoneUser: object | null }>(url, { query, variables: { userId } }, headers);
};

test.for(gateways)('%s: joins the user with the other subgraph, after one read', async ([, openGateway]) => {
  await using supergraph = await openSupergraph(openGateway);

  const { data, errors } = await read(
    supergraph.url,
    unverified,
    manager,
    'id name contactPhone { number isVerified }',
  );

  expect(errors).toBeUndefined();
  expect(data).toEqual({
    contactPhoneUser: { id: unverified, name: `Name of ${unverified}`, contactPhone: users.unverified.phone },
  });
  expect(supergraph.stage.rpcs()).toEqual(['GetUserByID']);
});

test.for(gateways)(
  '%s: never returns fields of the other subgraph to a caller who may not read the user',
  async (gateway) => {
    const [, openGateway] = gateway;
    await using supergraph = await openSupergraph(openGateway);
    const { url, zitadel } = supergraph;
    const outsider = bearer(tokens.outsider.token);
    const guest = bearer(tokens.guest.token);
    const missing = '999999999999999999';
    // In the other subgraph, every user exists.
    const cases = [
      [outsider, unverified, { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING', userId: unverified }],
      [guest, unverified, { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING', userId: unverified }],
      [manager, missing, { code: 'NOT_FOUND', reason: 'USER_UNKNOWN', userId: missing }],
      [bearer(tokens.expired.token), unverified, { code: 'UNAUTHENTICATED', reason: 'TOKEN_REFUSED' }],
      [{}, unverified, { code: 'UNAUTHENTICATED', reason: 'TOKEN_MISSING' }],
      [manager, '..', { code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID' }],
    ] as const;

    for (const [headers, userId, extensions] of cases) {
      for (const fields of ['id name', 'name', '__typename name', 'name contactPhone { number }']) {
        const { status, data, errors, text } = await read(url, userId, headers, fields);

        expect({ status, data }).toEqual({ status: 200, data: { contactPhoneUser: null } });
        expect(errors).toMatchObject([{ path: ['contactPhoneUser'], extensions }]);
        expect(text).not.toContain('Name of');
      }
    }
    // One read for each of the first four callers and each selection.
    expect(zitadel.calls.map(({ rpc }) => rpc)).toEqual(Array(16).fill('GetUserByID'));
  },
);

test.for(gateways)('%s: reads several users in one call, and names only those that may be read', async (gateway) => {
  const [, openGateway] = gateway;
  await using supergraph = await openSupergraph(openGateway);
  const query = `{
    mine: contactPhoneUser(userId: "${unverified}") { name }
    theirs: contactPhoneUser(userId: "${users.foreign.userId}") { name }
  }`;

  const { data, errors } = await post(supergraph.url, { query }, manager);

  expect(data).toEqual({ mine: { name: `Name of ${unverified}` }, theirs: null });
  expect(errors).toMatchObject([{ path: ['theirs'], extensions: { code: 'NOT_FOUND', reason: 'USER_UNKNOWN' } }]);
  expect(supergraph.stage.rpcs()).toEqual(['ListUsers']);
});
