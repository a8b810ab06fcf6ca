import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Call } from '../src/embedded-zitadel/embedded-zitadel.js';
import { manager, openStage, post } from './support/stage.js';

const badUserId = { code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID', argument: 'userId' };

const printable = (character: string) => character >= ' ' && character <= '~';
const textual = (character: string) => {
  const point = character.codePointAt(0) ?? 0;
  const isControl = point < 0x20 || (point >= 0x7f && point < 0xa0);
  const isLoneSurrogate = point >= 0xd800 && point < 0xe000;
  return !isControl && !isLoneSurrogate;
};

/** The ids that may be passed to ZITADEL, by the characters that its API takes. */
const isAllowed = (id: string, isCharacter: (character: string) => boolean) => {
  const characters = Array.from(id);
  return (
    !['.', '..'].includes(id) &&
    !/[/\\]/.test(id) &&
    characters.length >= 1 &&
    characters.length <= 200 &&
    characters.every(isCharacter)
  );
};

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

const examples: [string][] = [
  ['.'],
  ['..'],
  [''],
  ['1/passkeys'],
  ['%2e%2e'],
  ['..%2f'],
  ['1?x=1'],
  ['a'.repeat(200)],
  ['a'.repeat(201)],
  ['💌'.repeat(200)],
  ['💌'.repeat(201)],
  ['é0'],
  ['💌'],
  ['1\u200b'],
  ['1\u0085'],
  ['1\u00a0'],
  ['\ud800'],
  ['1\udfff'],
  ['","returnCode":{},"x":"'],
];

/** The operations, with the RPCs that they call for a user who does not exist, and the error of the first. */
const operations = [
  ['contactPhone(userId: $userId) { number }', ['GetUserByID'], 'QUERY-Dfbg2'],
  ['setContactPhone(userId: $userId, number: "+41795550101") { user { id } }', ['GetUserByID'], 'QUERY-Dfbg2'],
  [
    'setContactPhone(userId: $userId, number: "+41795550101", mode: RETURN_CODE) { user { id } }',
    ['SetPhone', 'GetUserByID'],
    'COMMAND-ieJ2e',
  ],
  ['resendContactPhoneCode(userId: $userId) { user { id } }', ['GetUserByID'], 'QUERY-Dfbg2'],
  [
    'resendContactPhoneCode(userId: $userId, mode: RETURN_CODE) { user { id } }',
    ['ResendPhoneCode', 'GetUserByID'],
    'COMMAND-ieJ2e',
  ],
  [
    'verifyContactPhone(userId: $userId, verificationCode: "S3CR3T") { user { id } }',
    ['VerifyPhone', 'GetUserByID'],
    'COMMAND-ieJ2e',
  ],
  ['removeContactPhone(userId: $userId) { user { id } }', ['RemovePhone', 'GetUserByID'], 'COMMAND-ieJ2e'],
] as const;

type Operation = (typeof operations)[number];

/**
 * Runs the operation with many ids. Those that are allowed must reach ZITADEL, which does not know them; the others must not.
 *
 * @param checkCall checks how a call holds the id
 */
async function tryUserIds(
  ZITADEL_API: string,
  [field, rpcs, refusal]: Operation,
  isCharacter: (character: string) => boolean,
  checkCall: (call: Call, userId: string) => void,
): Promise<void> {
  await using stage = await openStage({ ZITADEL_API });
  const { calls } = stage.zitadel;
  const isRead = field.startsWith('contactPhone');
  const query = `${isRead ? 'query' : 'mutation'} ($userId: ID!) { it: ${field} }`;

  const property = fc.asyncProperty(userIds, async (userId) => {
    calls.length = 0;
    const answer = await post(stage.graphql, { query, variables: { userId } }, manager);

    expect(answer.status).toBe(200);
    const extensions = answer.errors?.[0]?.extensions;
    if (isAllowed(userId, isCharacter)) {
      // The embedded ZITADEL looked up exactly this user.
      expect(calls.map((call) => [call.rpc, call.userId])).toEqual(rpcs.map((rpc) => [rpc, userId]));
      for (const call of calls) checkCall(call, userId);
      const expected = { code: 'NOT_FOUND', reason: 'USER_UNKNOWN', zitadel: { id: refusal } };
      expect(extensions).toMatchObject(isRead ? { ...expected, userId } : { ...expected, outcome: 'NOT_DONE' });
    } else {
      expect(calls).toEqual([]);
      expect(extensions).toEqual(isRead ? badUserId : { ...badUserId, outcome: 'NOT_DONE' });
    }
  });
  await fc.assert(property, { numRuns: 60, examples });
}

const below: Partial<Record<string, string[]>> = {
  SetPhone: ['phone'],
  ResendPhoneCode: ['phone', 'resend'],
  VerifyPhone: ['phone', 'verify'],
  RemovePhone: ['phone'],
};

test.for(operations)('never lets a user id change the path of a call over REST: %s', (operation) =>
  tryUserIds('rest', operation, printable, ({ rpc = '', path, body }, userId) => {
    // The embedded ZITADEL decodes the path before it routes.
    expect(path.split('/').map(decodeURIComponent)).toEqual(['', 'v2', 'users', userId, ...(below[rpc] ?? [])]);
    expect(JSON.parse(body || '{}')).not.toHaveProperty('userId');
  }),
);

test.for(operations)('sends a user id unchanged in the body of a call over Connect: %s', (operation) =>
  tryUserIds('connect', operation, textual, ({ rpc, path, body }, userId) => {
    expect(path).toBe(`/zitadel.user.v2.UserService/${rpc}`);
    expect(JSON.parse(body)).toHaveProperty('userId', userId);
  }),
);

test.for([
  ['1/passkeys', '1%2Fpasskeys'],
  ['.', '.'],
])('is safe with an upstream that routes on the decoded path: %s', async ([userId, encoded]) => {
  await using stage = await openStage({ ZITADEL_API: 'rest' });

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
