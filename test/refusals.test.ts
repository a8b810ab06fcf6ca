import { expect, expectTypeOf, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import type { ErrorExtensions, ZitadelAnswer, ZitadelRefusal } from '../src/errors.js';
import { bearer, manager, openStage, unverified } from './support/stage.js';
import { zitadel } from './support/zitadel.js';

const missing = '999999999999999999';

const phoneNotFound = zitadel(5, 'NOT_FOUND', 404, 'COMMAND-ieJ2e', 'Phone not found');
const noCode = zitadel(9, 'FAILED_PRECONDITION', 400, 'PHONE-5xrra88eq8', 'No code to resend');
const badToken = zitadel(16, 'UNAUTHENTICATED', 401, 'AUTH-7fs1e', 'Errors.Token.Invalid');
const noMembership = zitadel(5, 'NOT_FOUND', 404, 'AUTHZ-cdgFk', 'membership not found');
const noPermission = zitadel(7, 'PERMISSION_DENIED', 403, 'AUTH-AWfge', 'No matching permissions found');

test.for([
  ['an expired token', bearer(tokens.expired.token), unverified, 'UNAUTHENTICATED', badToken],
  ['a token nobody issued', bearer('embedded-token-nobody-issued'), unverified, 'UNAUTHENTICATED', badToken],
  [
    'another scheme than Bearer',
    { authorization: 'Basic dXNlcjpwYXNz' },
    unverified,
    'UNAUTHENTICATED',
    zitadel(16, 'UNAUTHENTICATED', 401, 'AUTH-toLo1', 'Invalid token'),
  ],
  ['a user who does not exist', manager, missing, 'NOT_FOUND', phoneNotFound],
  ['a machine', manager, users.machine.userId, 'NOT_FOUND', phoneNotFound],
  ['an outsider', bearer(tokens.outsider.token), unverified, 'FORBIDDEN', noMembership],
  ['a user of another organisation', manager, users.foreign.userId, 'FORBIDDEN', noMembership],
  ['a member without user.write', bearer(tokens.member.token), unverified, 'FORBIDDEN', noPermission],
  [
    'a user who is not initialised',
    manager,
    users.uninitialised.userId,
    'FAILED_PRECONDITION',
    zitadel(9, 'FAILED_PRECONDITION', 400, 'COMMAND-uz0Uu', 'User is not yet initialised'),
  ],
  ['a user without a phone', manager, users.phoneless.userId, 'FAILED_PRECONDITION', noCode],
  ['a verified phone', manager, users.verified.userId, 'FAILED_PRECONDITION', noCode],
] as const)('tells why ZITADEL refuses: %s', async ([, headers, userId, code, original]) => {
  await using stage = await openStage();

  const answer = await stage.resend({ userId }, headers);

  expect(answer.status).toBe(200);
  expect(answer.data).toEqual({ resendContactPhoneCode: null });
  expect(answer.errors).toHaveLength(1);
  expect(answer.errors?.[0]).toMatchObject({ path: ['resendContactPhoneCode'] });
  expect(answer.errors?.[0]?.extensions).toEqual({ code, zitadel: original });
  expect(stage.zitadel.calls).toHaveLength(1);
  expect(stage.zitadel.outbox).toEqual([]);
});

test.for([
  ['no Authorization', {}],
  ['an empty one', { authorization: '' }],
] as const)('does not bother ZITADEL for a nameless caller: %s', async ([, headers]) => {
  await using stage = await openStage();

  const answer = await stage.resend({}, headers);

  expect(answer.status).toBe(200);
  expect(answer.errors?.map(({ extensions }) => extensions)).toEqual([{ code: 'UNAUTHENTICATED' }]);
  expect(stage.zitadel.calls).toEqual([]);
});

test('gives clients in TypeScript a type to narrow on the code', () => {
  const read = (extensions: ErrorExtensions) => {
    if (extensions.code === 'RATE_LIMITED') expectTypeOf(extensions.retryAfter).toEqualTypeOf<number | undefined>();
    if (extensions.code === 'NOT_FOUND') expectTypeOf(extensions.zitadel).toEqualTypeOf<ZitadelRefusal | undefined>();
    if (extensions.code === 'UPSTREAM_TIMEOUT') {
      expectTypeOf(extensions.zitadel).toEqualTypeOf<ZitadelAnswer | undefined>();
      expectTypeOf(extensions.outcome).toEqualTypeOf<'UNKNOWN' | undefined>();
    }
  };
  read({ code: 'INTERNAL_SERVER_ERROR' });
});
