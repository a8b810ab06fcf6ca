import { forgedToken, goodToken, graphql, longRefusalToken, times, type HostileRequest } from './hostile-request.js';

// Requests that multiply: many users in `_entities` with many fields, names or errors for each.

const maxRepresentations = 5_000;
const maxAliases = 50;

/** With each `n`, the document is new to the server. */
const entities = (selection: string, n: number) =>
  `query A${n}($r: [_Any!]!) { _entities(representations: $r) { ... on User { ${selection} } } }`;

const users = (count: number, id = (index: number) => `3010000000${10_000 + index}`) =>
  Array.from({ length: count }, (_, index) => ({ __typename: 'User', id: id(index) }));

const ask = (
  name: string,
  selection: string,
  { token, r = users(maxRepresentations), before = '' }: { token?: string; r?: unknown[]; before?: string } = {},
): HostileRequest => ({
  name,
  body: (n) => graphql(before + entities(selection, n), { r }),
  ...(token !== undefined && { token }),
});

const phone = 'contactPhone { number }';
const phones = times(maxAliases - 2, (index) => `a${index}: ${phone}`);
const typenames = times(600, (index) => `a${index}: __typename`);
const longName = 'a'.repeat(700_000);
const newlines = '\n'.repeat(400_000);
const noRepresentations = Array.from({ length: maxRepresentations }, () => 0);

/** The reference for everything else: the largest list that the limits are meant to allow, with one field. */
export const yardstick = ask('5,000 representations with one `contactPhone`, no token', phone);

const nesting = 900;

export const hostileLists: readonly HostileRequest[] = [
  ask('5,000 representations with one `contactPhone`, forged token', phone, { token: forgedToken }),
  ask('5,000 representations with one `contactPhone`, good token', phone, { token: goodToken }),
  ask('5,000 representations × 48 aliases of `contactPhone`, no token', phones),
  ask('5,000 representations × 48 aliases of `contactPhone`, forged token', phones, { token: forgedToken }),
  ask('5,000 representations × 48 aliases of `contactPhone`, good token', phones, { token: goodToken }),
  ask(
    '5,000 representations × 400 copies of one `contactPhone`, without an alias',
    times(400, () => phone),
  ),
  ask('5,000 representations × 600 aliases of `__typename`', typenames),
  ask('5,000 representations × an alias of 700 kB', `${longName}: id`),
  ask('5,000 representations × an alias of 20 kB', `${longName.slice(0, 20_000)}: id`),
  ask('5,000 failing representations × an alias of 700 kB', `${longName}: ${phone}`),
  {
    name: '5,000 failing representations × an alias of 20 kB for `_entities`',
    body: (n) =>
      graphql(
        `query A${n}($r: [_Any!]!) { ${longName.slice(0, 20_000)}: _entities(representations: $r) { ... on User { ${phone} } } }`,
        { r: users(maxRepresentations) },
      ),
  },
  ask('5,000 failing representations after 400,000 newlines', phone, { before: newlines }),
  ask('5,000 representations that are numbers, after 400,000 newlines', 'id', {
    before: newlines,
    r: noRepresentations,
  }),
  {
    name: '5,000 representations that are numbers × 190 copies of `_entities`',
    body: (n) =>
      graphql(`query A${n}($r: [_Any!]!) { ${times(190, () => '_entities(representations: $r) { __typename }')} }`, {
        r: noRepresentations,
      }),
  },
  ask(
    '1 representation with an id of 1 MB × 49 aliases of `id`',
    times(49, (index) => `a${index}: id`),
    {
      r: users(1, () => 'a'.repeat(1_000_000)),
    },
  ),
  ...[1_000_000, 50_000].map((length): HostileRequest => ({
    name: `One id of ${length / 1000} kB in a variable that the document lists 600 times`,
    body: (n) =>
      graphql(
        `query A${n}($a: _Any!) { _entities(representations: [${times(600, () => '$a')}]) { ... on User { id } } }`,
        { a: { __typename: 'User', id: 'a'.repeat(length) } },
      ),
  })),
  ask('500,000 representations', phone, { r: Array.from({ length: 500_000 }, () => 0) }),
  ...[1_000, 10_000, 500_000].map((count): HostileRequest => ({
    name: `${count.toLocaleString('en')} items for a variable of 900 nested list types`,
    body: (n) =>
      graphql(
        `query A${n}($a: ${'['.repeat(nesting)}ID${']'.repeat(nesting)}) ` +
          '{ _entities(representations: [{ __typename: "User", id: $a }]) { __typename } }',
        { a: Array.from({ length: count }, () => 1) },
      ),
  })),
  {
    name: '49 aliases of `_entities` with 102 representations each',
    body: (n) =>
      graphql(
        `query A${n}($r: [_Any!]!) { ${times(49, (i) => `a${i}: _entities(representations: $r) { ... on User { ${phone} } }`)} }`,
        { r: users(102) },
      ),
  },
  {
    name: '49 aliases of `_entities` with 102 representations and 440 aliases of `__typename` each',
    body: (n) =>
      graphql(
        `query A${n}($r: [_Any!]!) { ${times(49, (i) => `a${i}: _entities(representations: $r) { ...F }`)} } ` +
          `fragment F on User { ${times(440, (i) => `b${i}: __typename`)} }`,
        { r: users(102) },
      ),
  },
  ask('5,000 representations, and ZITADEL refuses them with a message of 300 kB', phone, { token: longRefusalToken }),
  ask('5,000 representations with ids of 190 characters and a forged token', phone, {
    token: forgedToken,
    r: users(maxRepresentations, (index) => String(index).padStart(150, '3')),
  }),
];
