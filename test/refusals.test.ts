import { expect, expectTypeOf, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { errorMessages, type ErrorExtensions, type ZitadelAnswer, type ZitadelRefusal } from '../src/errors.js';
import { mutationNames, mutations, type Mutation } from './support/mutations.js';
import { bearer, manager, openStage, unverified } from './support/stage.js';
import { answered, zitadel } from './support/zitadel.js';

const missing = '999999999999999999';

type Row = readonly [
  what: string,
  headers: Record<string, string>,
  userId: string,
  code: ErrorExtensions['code'],
  original: ReturnType<typeof zitadel>,
  variables?: object,
];

const phoneNotFound = zitadel(5, 'NOT_FOUND', 404, 'COMMAND-ieJ2e', 'Phone not found');
const noCode = zitadel(9, 'FAILED_PRECONDITION', 400, 'PHONE-5xrra88eq8', 'No code to resend');
const notChanged = zitadel(9, 'FAILED_PRECONDITION', 400, 'COMMAND-Uch5e', 'Phone not changed');
const wrongCode = zitadel(3, 'INVALID_ARGUMENT', 400, 'COMMAND-eis9R', 'Code is invalid');
const noPhone = zitadel(9, 'FAILED_PRECONDITION', 400, 'COMMAND-ieJ2e', 'Phone not found');
const uninitialised = zitadel(9, 'FAILED_PRECONDITION', 400, 'COMMAND-uz0Uu', 'User is not yet initialised');
const badToken = zitadel(16, 'UNAUTHENTICATED', 401, 'AUTH-7fs1e', 'Errors.Token.Invalid');
const noMembership = zitadel(5, 'NOT_FOUND', 404, 'AUTHZ-cdgFk', 'membership not found');
const noPermission = zitadel(7, 'PERMISSION_DENIED', 403, 'AUTH-AWfge', 'No matching permissions found');

/** Reasons for refusing any mutation. */
const noToken = zitadel(16, 'UNAUTHENTICATED', 401, 'AUTH-toLo1', 'Invalid token');

const common: Row[] = [
  ['an expired token', bearer(tokens.expired.token), unverified, 'UNAUTHENTICATED', badToken],
  ['a token nobody issued', bearer('embedded-token-nobody-issued'), unverified, 'UNAUTHENTICATED', badToken],
  ['a scheme other than Bearer', { authorization: 'Basic dXNlcjpwYXNz' }, unverified, 'UNAUTHENTICATED', noToken],
  ['two tokens', bearer(`nobody's ${manager.authorization}`), unverified, 'UNAUTHENTICATED', noToken],
  ['a user who does not exist', manager, missing, 'NOT_FOUND', phoneNotFound],
  ['a machine', manager, users.machine.userId, 'NOT_FOUND', phoneNotFound],
  ['a user who is not initialised', manager, users.uninitialised.userId, 'FAILED_PRECONDITION', uninitialised],
  [
    'a user who is not initialised, before the permission',
    bearer(tokens.outsider.token),
    users.uninitialised.userId,
    'FAILED_PRECONDITION',
    uninitialised,
  ],
];

/** Missing permissions, which matter to every mutation except the verification. */
const forbidden: Row[] = [
  ['an outsider', bearer(tokens.outsider.token), unverified, 'FORBIDDEN', noMembership],
  ['a user of another organisation', manager, users.foreign.userId, 'FORBIDDEN', noMembership],
  ['a member without user.write', bearer(tokens.member.token), unverified, 'FORBIDDEN', noPermission],
];

const rows: Record<Mutation, Row[]> = {
  'set-contact-phone': [
    ...common,
    ...forbidden,
    ...(['SEND_CODE', 'RETURN_CODE', 'MARK_VERIFIED'] as const).map((mode): Row => [
      `the number that is there already, with ${mode}`,
      manager,
      unverified,
      'FAILED_PRECONDITION',
      notChanged,
      { number: users.unverified.phone.number, mode },
    ]),
  ],
  'resend-contact-phone-code': [
    ...common,
    ...forbidden,
    ['a user without a phone', manager, users.phoneless.userId, 'FAILED_PRECONDITION', noCode],
    ['a verified phone', manager, users.verified.userId, 'FAILED_PRECONDITION', noCode],
  ],
  'verify-contact-phone': [
    ...common,
    ['a wrong code', manager, unverified, 'INVALID_VERIFICATION_CODE', wrongCode],
    ['a user without a phone', manager, users.phoneless.userId, 'INVALID_VERIFICATION_CODE', wrongCode],
    ['a verified phone', manager, users.verified.userId, 'INVALID_VERIFICATION_CODE', wrongCode],
  ],
  'remove-contact-phone': [
    ...common,
    ...forbidden,
    ['a user without a phone', manager, users.phoneless.userId, 'FAILED_PRECONDITION', noPhone],
  ],
};

const all = Object.entries(rows).flatMap(([name, refused]) =>
  refused.map(([what, ...rest]) => [`${name}, ${what}`, name as Mutation, ...rest] as const),
);

test.for(all)('reports why ZITADEL refuses: %s', async ([, name, headers, userId, code, original, variables]) => {
  await using stage = await openStage();

  const answer = await stage.run(name, { userId, ...mutations[name], ...variables }, headers);

  const [field = ''] = Object.keys(answer.data ?? {});
  expect(answer).toMatchObject({ status: 200, data: { [field]: null } });
  expect(answer.errors).toHaveLength(1);
  expect(answer.errors?.[0]).toMatchObject({ path: [field], message: errorMessages[code] });
  expect(answer.errors?.[0]?.extensions).toEqual({ code, zitadel: original });
  expect(stage.zitadel.calls).toHaveLength(1);
  expect(stage.zitadel.outbox).toEqual([]);
});

test.for([
  ['is not a number', 'PHONE-so0wa', 'Phone number is invalid'],
  ['is empty', 'PHONE-Zt0NV', 'Phone number is empty'],
] as const)('reports why ZITADEL refuses: a number that to ZITADEL %s', async ([, id, text]) => {
  await using stage = await openStage();
  const original = zitadel(3, 'INVALID_ARGUMENT', 400, id, text);
  // The number is validated before ZITADEL is called, so this simulates a ZITADEL with other rules.
  stage.zitadel.misbehave(answered({ code: 3, message: original.message, details: original.details }, 400));

  const { errors } = await stage.run('set-contact-phone', { userId: unverified, number: '+41795550101' });

  expect(errors?.map(({ extensions }) => extensions)).toEqual([{ code: 'BAD_USER_INPUT', zitadel: original }]);
  expect(stage.zitadel.calls).toHaveLength(1);
});

test.for([
  ['set-contact-phone', 'BAD_USER_INPUT'],
  ['resend-contact-phone-code', 'BAD_USER_INPUT'],
  ['verify-contact-phone', 'INVALID_VERIFICATION_CODE'],
  ['remove-contact-phone', 'BAD_USER_INPUT'],
] as const)('recognises a wrong code by its id only in a verification: %s', async ([name, code]) => {
  await using stage = await openStage();
  const { message, details } = wrongCode;
  stage.zitadel.misbehave(
    answered({ code: 3, message, details }, 400),
    answered({ code: 9, message, details }, 400),
    answered({ code: 3, message: 'invalid VerifyPhoneRequest' }, 400),
  );
  const codes = [];
  for (let times = 0; times < 3; times += 1) {
    const { errors } = await stage.run(name, { userId: unverified, ...mutations[name] });
    codes.push(errors?.[0]?.extensions.code);
  }

  expect(codes).toEqual([code, 'FAILED_PRECONDITION', 'BAD_USER_INPUT']);
});

test.for(
  mutationNames.flatMap((name) => [
    [name, 'no Authorization', {}] as const,
    [name, 'an empty one', { authorization: '' }] as const,
    // ZITADEL answers HTTP 500 to this before it checks the token.
    [name, 'one with a byte that is not ASCII', { authorization: 'Bearer \u00e9' }] as const,
  ]),
)('does not bother ZITADEL for a nameless caller: %s, %s', async ([name, , headers]) => {
  await using stage = await openStage();

  // Authentication is checked before the input.
  const answer = await stage.run(name, { userId: '..', number: '', verificationCode: '' }, headers);

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
