import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { forgedToken, graphql, times, type HostileRequest } from './hostile-request.js';

// Requests whose variables, JSON, headers or bytes are the problem.

const read = (n: number) => `query A${n}($u: ID!) { contactPhone(userId: $u) { number } }`;

const invisible = '\u2060';
const setMany = (count: number, n: number) =>
  `mutation A${n}($number: PhoneNumber!) { ${times(count, (i) => `a${i}: setContactPhone(userId: "1", number: $number) { verificationCode }`)} }`;

/** JSON with hand-written variables that `JSON.stringify` cannot produce. */
const withVariables = (query: string, variables: string) =>
  `{"query":${JSON.stringify(query)},"variables":${variables}}`;

const deep = (open: string, close: string, depth: number) => open.repeat(depth) + close.repeat(depth);

/** 900 MiB of spaces in less than 1 MiB, since a gzip file may have many members. */
const zipBomb = () => {
  const start = gzipSync('{"query":"{ __typename }"');
  const spaces = gzipSync(Buffer.alloc(2 ** 20, ' '));
  return Buffer.concat([start, ...Array.from({ length: 900 }, () => spaces), gzipSync('}')]);
};
const brotliBomb = () =>
  brotliCompressSync(
    Buffer.concat([Buffer.from('{"query":"{ __typename }"'), Buffer.alloc(256 * 2 ** 20, ' '), Buffer.from('}')]),
    {
      params: { [constants.BROTLI_PARAM_QUALITY]: 5 },
    },
  );

const zipped = (coding: string, make: () => Buffer): HostileRequest => {
  let bomb: Buffer | undefined;
  return {
    name: `A zip bomb of \`${coding}\``,
    body: () => (bomb ??= make()),
    headers: { 'content-encoding': coding },
  };
};

export const hostileInputs: readonly HostileRequest[] = [
  { name: '1 MiB of digits as a variable', body: (n) => withVariables(read(n), `{"u":${'9'.repeat(1_040_000)}}`) },
  {
    name: '500,000 nested lists as a variable',
    body: (n) => withVariables(read(n), `{"u":${deep('[', ']', 500_000)}}`),
  },
  {
    name: '150,000 nested objects in a representation',
    body: (n) =>
      withVariables(
        `query A${n}($r: [_Any!]!) { _entities(representations: $r) { __typename } }`,
        `{"r":[{"__typename":"User","id":${'{"a":'.repeat(150_000)}1${'}'.repeat(150_000)}}]}`,
      ),
  },
  {
    name: '190,000 numbers that are not safe integers, in a variable that nothing uses',
    body: (n) => withVariables(`query A${n} { __typename }`, `{"u":[${'1e20,'.repeat(190_000)}0]}`),
  },
  {
    name: '330,000 objects, one of which has a key `constructor`',
    body: (n) => withVariables(read(n), `{"u":[${'{},'.repeat(330_000)}{"constructor":0}]}`),
  },
  {
    name: '60,000 keys that look like numbers',
    body: (n) => withVariables(read(n), `{${Array.from({ length: 60_000 }, (_, i) => `"${i * 40_961}":0`).join(',')}}`),
  },
  {
    name: 'A phone number of 340,000 invisible characters',
    body: (n) => graphql(setMany(1, n), { number: `+${invisible.repeat(340_000)}` }),
    token: forgedToken,
  },
  {
    name: 'A phone number of 340,000 invisible characters for 50 aliased mutations',
    body: (n) => graphql(setMany(50, n), { number: `+${invisible.repeat(340_000)}` }),
    token: forgedToken,
  },
  {
    name: 'A verification code of 1 MB of spaces for 50 aliased mutations',
    body: (n) =>
      graphql(
        `mutation A${n}($c: VerificationCode!) { ${times(50, (i) => `a${i}: verifyContactPhone(userId: "1", verificationCode: $c) { user { id } }`)} }`,
        { c: ' '.repeat(1_000_000) },
      ),
    token: forgedToken,
  },
  {
    name: '50 bad values for a variable with a name of 330 kB',
    body(n) {
      const name = 'v'.repeat(330_000);
      const values = Array.from({ length: 50 }, () => null);
      return graphql(`query A${n}($${name}: [_Any!]!) { _entities(representations: $${name}) { __typename } }`, {
        [name]: values,
      });
    },
  },
  {
    name: '50 bad values for a variable after 430,000 newlines',
    body: (n) =>
      graphql(`${'\n'.repeat(430_000)} query A${n}($r: [_Any!]!) { _entities(representations: $r) { __typename } }`, {
        r: Array.from({ length: 50 }, () => null),
      }),
  },
  {
    name: '1 MB in HTTP chunks of one byte',
    body: (n) => graphql(`query A${n} { __typename } ${' '.repeat(1_000_000)}`),
    chunkBytes: 1,
  },
  {
    name: 'An `Accept` of 15 kB',
    body: (n) => graphql(`query A${n} { __typename }`),
    headers: { accept: Array.from({ length: 1_500 }, (_, i) => `a/b;q=0.${i % 10}`).join(',') },
  },
  {
    name: 'A `Content-Type` of 15 kB',
    body: (n) => graphql(`query A${n} { __typename }`),
    headers: { 'content-type': `application/json${';a=b'.repeat(3_700)}` },
  },
  {
    name: 'A token of 15 kB full of dots, for 50 aliased mutations',
    body: (n) =>
      graphql(
        `mutation A${n} { ${times(50, (i) => `a${i}: resendContactPhoneCode(userId: "u${n}x${i}") { verificationCode }`)} }`,
      ),
    token: 'a.'.repeat(7_500),
  },
  zipped('gzip', zipBomb),
  zipped('br', brotliBomb),
];
