import fc from 'fast-check';
import { expect, test } from 'vitest';
import { manager, openStage, post } from './support/stage.js';

const badUserId = { code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID', argument: 'userId' };

/** The ids that may be passed to ZITADEL. */
const isAllowed = (id: string) =>
  id !== '.' &&
  id !== '..' &&
  !/[/\\]/.test(id) &&
  id.length >= 1 &&
  id.length <= 200 &&
  Array.from(id).every((character) => character >= ' ' && character <= '~');

/** Ids with characters that have a meaning in paths, URLs and headers, and arbitrary text. */
const hostilePart = fc.constantFrom(
  ...[
    '/',
    '..',
    '.',
    '\\',
    '%2f',
    '%2F',
    '%2e%2e',
    '%',
    '?',
    '#',
    ';',
    ':',
    '@',
    '&',
    '=',
    ' ',
    '\t',
    '\r\n',
    '\0',
    '\u0085',
  ],
  ...['1', 'passkeys', 'phone', 'resend', 'verify', '💌', 'é', '\u202e', '\ud800', '\udfff', 'a'.repeat(199)],
);
const userIds = fc.oneof(
  fc.array(hostilePart, { maxLength: 6 }).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 210 }),
  fc.string({ unit: 'grapheme', maxLength: 210 }),
);

test.for([
  ['contactPhone(userId: $userId) { number }', '', 'QUERY-Dfbg2'],
  ['setContactPhone(userId: $userId, number: "+41795550101") { user { id } }', '/phone', 'COMMAND-ieJ2e'],
  ['resendContactPhoneCode(userId: $userId) { user { id } }', '/phone/resend', 'COMMAND-ieJ2e'],
  ['verifyContactPhone(userId: $userId, verificationCode: "S3CR3T") { user { id } }', '/phone/verify', 'COMMAND-ieJ2e'],
  ['removeContactPhone(userId: $userId) { user { id } }', '/phone', 'COMMAND-ieJ2e'],
] as const)('never lets a user id change the path of a call: %s', async ([field, below, refusal]) => {
  await using stage = await openStage();
  const { calls } = stage.zitadel;
  const isRead = field.startsWith('contactPhone');
  const query = `${isRead ? 'query' : 'mutation'} ($userId: ID!) { it: ${field} }`;

  const property = fc.asyncProperty(userIds, async (userId) => {
    calls.length = 0;
    const answer = await post(stage.graphql, { query, variables: { userId } }, manager);

    expect(answer.status).toBe(200);
    const extensions = answer.errors?.[0]?.extensions;
    if (isAllowed(userId)) {
      const path = ['', 'v2', 'users', userId];
      // A write that fails for an unknown user is followed by a read, to find out whether they are a machine.
      const paths = isRead ? [path] : [[...path, ...below.split('/').slice(1)], path];
      expect(calls.map((call) => call.path.split('/').map(decodeURIComponent))).toEqual(paths);
      // The embedded ZITADEL, which decodes the path before routing, looked up exactly this user.
      const expected = { code: 'NOT_FOUND', reason: 'USER_UNKNOWN', zitadel: { id: refusal } };
      expect(extensions).toMatchObject(isRead ? { ...expected, userId } : { ...expected, outcome: 'NOT_DONE' });
    } else {
      expect(calls).toEqual([]);
      expect(extensions).toEqual(isRead ? badUserId : { ...badUserId, outcome: 'NOT_DONE' });
    }
  });
  await fc.assert(property, {
    numRuns: 150,
    examples: [
      ['.'],
      ['..'],
      [''],
      ['1/passkeys'],
      ['%2e%2e'],
      ['..%2f'],
      ['1?x=1'],
      ['a'.repeat(200)],
      ['a'.repeat(201)],
      ['é0'],
      ['💌'],
      ['1\u200b'],
      ['\ud800'],
    ],
  });
});

test.for([
  ['1/passkeys', '1%2Fpasskeys'],
  ['.', '.'],
])('is safe with an upstream that routes on the decoded path: %s', async ([userId, encoded]) => {
  await using stage = await openStage();

  const unguarded = await fetch(`${stage.zitadel.url}/v2/users/${encoded}/phone/resend`, {
    method: 'POST',
    headers: manager,
    body: '{}',
  });
  const guarded = await stage.resend({ userId });

  expect(await unguarded.json()).toEqual({ code: 5, message: 'Not Found' });
  expect(guarded.errors?.map(({ extensions }) => extensions)).toEqual([{ ...badUserId, outcome: 'NOT_DONE' }]);
  expect(stage.zitadel.calls).toHaveLength(1);
});
