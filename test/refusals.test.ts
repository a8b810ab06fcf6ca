import { expect, expectTypeOf, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { errors, type ErrorExtensions, type ErrorReason, type Outcome, type ZitadelAnswer } from '../src/errors.js';
import type { Verdict } from '../src/failure.js';
import type { SetPhoneMode } from '../src/zitadel/messages.js';
import { mutationNames, mutations, type Mutation } from './support/mutations.js';
import { shareStage } from './support/shared-stage.js';
import { bearer, manager, openStage, unverified } from './support/stage.js';
import { answered, zitadel } from './support/zitadel.js';

// Nothing is changed by what is refused.
const shared = shareStage();

const missing = '999999999999999999';

interface Row {
  what: string;
  headers?: Record<string, string>;
  userId?: string;
  is: Verdict;
  /** ZITADEL's error; undefined if there is none. */
  original?: ReturnType<typeof zitadel>;
  variables?: object;
  /**
   * Only the write by default. The user is read before an SMS, and after a write if ZITADEL uses the same error for several reasons.
   */
  calls?: ('read' | 'write')[];
}

const userNotFound = zitadel(5, 'NOT_FOUND', 404, 'QUERY-Dfbg2', 'User could not be found');
const phoneNotFound = zitadel(5, 'NOT_FOUND', 404, 'COMMAND-ieJ2e', 'Phone not found');
const noCode = zitadel(9, 'FAILED_PRECONDITION', 400, 'PHONE-5xrra88eq8', 'Code is empty');
const notChanged = zitadel(9, 'FAILED_PRECONDITION', 400, 'COMMAND-Uch5e', 'Phone not changed');
const wrongCode = zitadel(3, 'INVALID_ARGUMENT', 400, 'COMMAND-eis9R', 'Code is invalid');
const noPhone = zitadel(9, 'FAILED_PRECONDITION', 400, 'COMMAND-ieJ2e', 'Phone not found');
const uninitialised = zitadel(9, 'FAILED_PRECONDITION', 400, 'COMMAND-uz0Uu', 'User is not yet initialized');
const badToken = zitadel(16, 'UNAUTHENTICATED', 401, 'AUTH-7fs1e', 'Errors.Token.Invalid');
const noMembership = zitadel(5, 'NOT_FOUND', 404, 'AUTHZ-cdgFk', 'membership not found');
const noPermission = zitadel(7, 'PERMISSION_DENIED', 403, 'AUTH-AWfge', 'No matching permissions found');

const noToken = zitadel(16, 'UNAUTHENTICATED', 401, 'AUTH-toLo1', 'invalid auth header');

const tokenRefused = { code: 'UNAUTHENTICATED', reason: 'TOKEN_REFUSED' } as const;
const permissionMissing = { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING' } as const;
const notInitialized = { code: 'FAILED_PRECONDITION', reason: 'USER_NOT_INITIALIZED' } as const;
const hasNoPhone = { code: 'FAILED_PRECONDITION', reason: 'NO_PHONE' } as const;
const alreadyVerified = { code: 'FAILED_PRECONDITION', reason: 'ALREADY_VERIFIED' } as const;
const userUnknown = { code: 'NOT_FOUND', reason: 'USER_UNKNOWN' } as const;
const notAHuman = { code: 'NOT_FOUND', reason: 'NOT_A_HUMAN' } as const;

const { verified, phoneless, machine, foreign, uninitialised: uninitialisedUser } = users;

/** Reasons for refusing any call. */
const tokenRefusals: Row[] = [
  { what: 'an expired token', headers: bearer(tokens.expired.token), is: tokenRefused, original: badToken },
  {
    what: 'a token nobody issued',
    headers: bearer('embedded-token-nobody-issued'),
    is: tokenRefused,
    original: badToken,
  },
  {
    what: 'a scheme other than Bearer',
    headers: { authorization: 'Basic dXNlcjpwYXNz' },
    is: tokenRefused,
    original: noToken,
  },
  { what: 'two tokens', headers: bearer(`nobody's ${manager.authorization}`), is: tokenRefused, original: noToken },
];

/** Reasons for refusing any write. */
const common: Row[] = [
  ...tokenRefusals,
  {
    what: 'a user who does not exist',
    userId: missing,
    is: userUnknown,
    original: phoneNotFound,
    calls: ['write', 'read'],
  },
  {
    what: 'a machine',
    userId: machine.userId,
    is: notAHuman,
    original: phoneNotFound,
    calls: ['write', 'read'],
  },
  {
    what: 'a user who is not initialised',
    userId: uninitialisedUser.userId,
    is: notInitialized,
    original: uninitialised,
  },
  {
    what: 'a user who is not initialised, before the permission',
    headers: bearer(tokens.outsider.token),
    userId: uninitialisedUser.userId,
    is: notInitialized,
    original: uninitialised,
  },
];

/** Missing permissions, which matter to every mutation except the verification. */
const forbidden: Row[] = [
  { what: 'an outsider', headers: bearer(tokens.outsider.token), is: permissionMissing, original: noMembership },
  { what: 'a user of another organisation', userId: foreign.userId, is: permissionMissing, original: noMembership },
  {
    what: 'a member without user.write',
    headers: bearer(tokens.member.token),
    is: permissionMissing,
    original: noPermission,
  },
];

/** Reasons for sending no SMS. Except for the last, the read already shows them, and nothing is written. */
const noSms: Row[] = [
  ...[
    ...tokenRefusals,
    { what: 'a user who does not exist', userId: missing, is: userUnknown, original: userNotFound },
    { what: 'a machine', userId: machine.userId, is: notAHuman },
    { what: 'a user who is not initialised', userId: uninitialisedUser.userId, is: notInitialized },
    {
      what: 'a user who is not initialised, after the permission',
      headers: bearer(tokens.outsider.token),
      userId: uninitialisedUser.userId,
      is: permissionMissing,
      original: noMembership,
    },
    { what: 'an outsider', headers: bearer(tokens.outsider.token), is: permissionMissing, original: noMembership },
    { what: 'a user of another organisation', userId: foreign.userId, is: permissionMissing, original: noMembership },
    {
      what: 'a member without user.read',
      headers: bearer(tokens.guest.token),
      is: permissionMissing,
      original: noPermission,
    },
  ].map((row): Row => ({ ...row, calls: ['read'] })),
  {
    what: 'a member without user.write',
    headers: bearer(tokens.member.token),
    is: permissionMissing,
    original: noPermission,
    calls: ['read', 'write'],
  },
];

const sameNumber: Row = {
  what: 'the number that the phone already has',
  is: { code: 'FAILED_PRECONDITION', reason: 'SAME_NUMBER' },
  original: notChanged,
  variables: { number: users.unverified.phone.number },
};

const withMode = (mode: SetPhoneMode, refused: Row[]): Row[] =>
  refused.map((row) => ({ ...row, what: `${row.what}, with ${mode}`, variables: { ...row.variables, mode } }));

const rows: Record<Mutation, Row[]> = {
  'set-contact-phone': [
    ...withMode('SEND_CODE', [...noSms, { ...sameNumber, calls: ['read', 'write'] }]),
    ...withMode('RETURN_CODE', [...common, ...forbidden, sameNumber]),
    ...withMode('MARK_VERIFIED', [...common, ...forbidden, sameNumber]),
  ],
  'resend-contact-phone-code': [
    ...withMode('SEND_CODE', [
      ...noSms,
      { what: 'a user without a phone', userId: phoneless.userId, is: hasNoPhone, calls: ['read', 'read'] },
      {
        what: 'a verified phone',
        userId: verified.userId,
        is: alreadyVerified,
        original: noCode,
        calls: ['read', 'write'],
      },
    ]),
    ...withMode('RETURN_CODE', [
      ...common,
      ...forbidden,
      {
        what: 'a user without a phone',
        userId: phoneless.userId,
        is: hasNoPhone,
        original: noCode,
        calls: ['write', 'read'],
      },
      {
        what: 'a verified phone',
        userId: verified.userId,
        is: alreadyVerified,
        original: noCode,
        calls: ['write', 'read'],
      },
    ]),
  ],
  'verify-contact-phone': [
    ...common,
    { what: 'a wrong code', is: { code: 'INVALID_VERIFICATION_CODE' }, original: wrongCode, calls: ['write', 'read'] },
    {
      what: 'a user without a phone',
      userId: phoneless.userId,
      is: hasNoPhone,
      original: wrongCode,
      calls: ['write', 'read'],
    },
    {
      what: 'a verified phone',
      userId: verified.userId,
      is: alreadyVerified,
      original: wrongCode,
      calls: ['write', 'read'],
    },
  ],
  'remove-contact-phone': [
    ...common,
    ...forbidden,
    { what: 'a user without a phone', userId: phoneless.userId, is: hasNoPhone, original: noPhone },
  ],
};

const all = Object.entries(rows).flatMap(([name, refused]) =>
  refused.map((row) => [name as Mutation, row.what, row] as const),
);

test.for(all)('reports why ZITADEL refuses %s: %s', async ([name, , row]) => {
  const { headers = manager, userId = unverified, is, original, variables, calls = ['write'] } = row;
  const stage = shared();

  const answer = await stage.run(name, { userId, ...mutations[name], ...variables }, headers);

  const [field = ''] = Object.keys(answer.data ?? {});
  expect(answer).toMatchObject({ status: 200, data: { [field]: null } });
  expect(answer.errors).toHaveLength(1);
  expect(answer.errors?.[0]).toMatchObject({ path: [field], message: textOf(is) });
  expect(answer.errors?.[0]?.extensions).toEqual({
    ...is,
    outcome: 'NOT_DONE',
    ...(original && { zitadel: original }),
  });
  expect(stage.zitadel.calls.map(({ rpc }) => (rpc === 'GetUserByID' ? 'read' : 'write'))).toEqual(calls);
  expect(stage.zitadel.outbox).toEqual([]);
});

/** The text of the contract for a code, or for its reason. */
function textOf({ code, reason }: Verdict): string {
  const { text, reasons }: { text: string; reasons: Partial<Record<string, string>> } = errors[code];
  return reasons[reason ?? ''] ?? text;
}

test.for([
  ['a wrong code', 'verify-contact-phone', {}, { code: 'INVALID_VERIFICATION_CODE' }],
  [
    'no code pending',
    'resend-contact-phone-code',
    { mode: 'RETURN_CODE' },
    { code: 'FAILED_PRECONDITION', reason: 'NO_CODE_PENDING' },
  ],
  ['an unknown user', 'remove-contact-phone', {}, userUnknown],
] as const)(
  'reports the refusal itself if the user cannot be read to explain it: %s',
  async ([, name, variables, is]) => {
    await using stage = await openStage();
    const original = {
      'verify-contact-phone': wrongCode,
      'resend-contact-phone-code': noCode,
      'remove-contact-phone': phoneNotFound,
    }[name];
    const { code, message, details, httpStatus } = original;
    stage.zitadel.misbehave(answered({ code, message, details }, httpStatus), answered({ code: 7 }, 403));

    const { errors } = await stage.run(name, { userId: unverified, ...mutations[name], ...variables });

    expect(errors?.map(({ extensions }) => extensions)).toEqual([{ ...is, outcome: 'NOT_DONE', zitadel: original }]);
    expect(stage.zitadel.calls).toHaveLength(2);
  },
);

test.for([
  [
    'is not a number',
    'PHONE-so0wa',
    'Phone number is invalid',
    { code: 'BAD_USER_INPUT', reason: 'NUMBER_INVALID', argument: 'number' },
  ],
  ['is empty', 'PHONE-Zt0NV', 'Phone number is empty', { code: 'BAD_USER_INPUT' }],
] as const)('reports why ZITADEL refuses a number: to ZITADEL, it %s', async ([, id, text, is]) => {
  await using stage = await openStage();
  const original = zitadel(3, 'INVALID_ARGUMENT', 400, id, text);
  // The number is validated before ZITADEL is called, so this simulates a ZITADEL with other rules.
  stage.zitadel.misbehaveWhenWriting(answered({ code: 3, message: original.message, details: original.details }, 400));

  const { errors } = await stage.run('set-contact-phone', { userId: unverified, number: '+41795550101' });

  expect(errors?.map(({ extensions }) => extensions)).toEqual([{ ...is, outcome: 'NOT_DONE', zitadel: original }]);
  expect(stage.zitadel.writes).toHaveLength(1);
});

test.for(
  mutationNames.flatMap((name) => [
    [name, 'no Authorization', {}] as const,
    [name, 'an empty Authorization', { authorization: '' }] as const,
    // ZITADEL answers HTTP 500 to this before it checks the token.
    [name, 'an Authorization with a byte that is not ASCII', { authorization: 'Bearer \u00e9' }] as const,
  ]),
)('does not call ZITADEL for a caller without a token: %s, %s', async ([name, , headers]) => {
  const stage = shared();

  // Authentication is checked before the input.
  const answer = await stage.run(name, { userId: '..', number: '', verificationCode: '' }, headers);

  expect(answer.status).toBe(200);
  expect(answer.errors?.map(({ extensions }) => extensions)).toEqual([
    { code: 'UNAUTHENTICATED', reason: 'TOKEN_MISSING', outcome: 'NOT_DONE' },
  ]);
  expect(stage.zitadel.calls).toEqual([]);
});

test('gives clients in TypeScript a type to narrow on the code, then on the reason', () => {
  /** Whether the user can help themselves. Compiles only as long as no code is missing. */
  const canHelp = (extensions: ErrorExtensions): boolean => {
    expectTypeOf(extensions.outcome).toEqualTypeOf<Outcome | undefined>();
    expectTypeOf(extensions.zitadel).toEqualTypeOf<ZitadelAnswer | undefined>();
    switch (extensions.code) {
      case 'INVALID_VERIFICATION_CODE':
        expectTypeOf(extensions.reason).toEqualTypeOf<undefined>();
        return true;
      case 'BAD_USER_INPUT':
        expectTypeOf(extensions.reason).toExtend<ErrorReason<'BAD_USER_INPUT'> | undefined>();
        return extensions.argument !== undefined;
      case 'FAILED_PRECONDITION':
        expectTypeOf(extensions.reason).toExtend<ErrorReason<'FAILED_PRECONDITION'> | undefined>();
        return extensions.reason === 'NO_CODE_PENDING';
      case 'NOT_FOUND':
        expectTypeOf(extensions.reason).toEqualTypeOf<'USER_UNKNOWN' | 'NOT_A_HUMAN' | undefined>();
        return false;
      case 'RATE_LIMITED':
        expectTypeOf(extensions.retryAfter).toEqualTypeOf<number | undefined>();
        return extensions.reason !== 'INSTANCE_BLOCKED';
      case 'UNAUTHENTICATED':
        return true;
      case 'FORBIDDEN':
      case 'UPSTREAM_TIMEOUT':
      case 'UPSTREAM_UNAVAILABLE':
      case 'UPSTREAM_MISCONFIGURED':
      case 'UPSTREAM_ERROR':
      case 'INTERNAL_SERVER_ERROR':
      case 'BAD_REQUEST':
      case 'ROUTER_SECRET_MISSING':
      case 'GRAPHQL_PARSE_FAILED':
      case 'GRAPHQL_VALIDATION_FAILED':
      case 'OPERATION_RESOLUTION_FAILURE':
      case 'PERSISTED_QUERY_NOT_SUPPORTED':
        return false;
      default:
        return extensions satisfies never;
    }
  };

  expect(canHelp({ code: 'RATE_LIMITED', reason: 'WRONG_CODES', outcome: 'NOT_DONE' })).toBe(true);
  // @ts-expect-error Each code has reasons of its own.
  expect(canHelp({ code: 'NOT_FOUND', reason: 'NO_PHONE' })).toBe(false);
});
