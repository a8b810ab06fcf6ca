import { forgedToken, goodToken, graphql, times, type HostileRequest } from './hostile-request.js';

// Requests whose document is the problem: its names, errors, size and shape.

const didYouMean = 'Did you mean ';
const newlines = '\n'.repeat(430_000);

const document = (name: string, query: (n: number) => string, token?: string): HostileRequest => ({
  name,
  body: (n) => graphql(query(n)),
  ...(token !== undefined && { token }),
});

/** A chain of fragments, the last of which spreads all of them. Each cycle causes an error that names every fragment in it. */
function cycles(count: number, nameLength: number): string {
  const name = (index: number) => `F${index}`.padEnd(nameLength, 'x');
  const chain = times(count - 1, (i) => `fragment ${name(i)} on User { ...${name(i + 1)} }`);
  const back = `fragment ${name(count - 1)} on User { ${times(count, (i) => `...${name(i)}`)} }`;
  return `${chain} ${back}`;
}

/** Each fragment spreads the next one twice. */
const doubling = (depth: number) =>
  times(depth, (i) => `fragment F${i} on User { ...F${i + 1} ...F${i + 1} }`) + ` fragment F${depth} on User { id }`;

const anEntity = '_entities(representations: [{ __typename: "User", id: "1" }])';

export const hostileDocuments: readonly HostileRequest[] = [
  {
    name: '"Did you mean" 8,000 times as `operationName`',
    body: (n) => graphql(`query A${n}{__typename} query B{__typename}`, undefined, didYouMean.repeat(8_000)),
  },
  {
    name: '"Did you mean" 70,000 times as `operationName`',
    body: (n) => graphql(`query A${n}{__typename} query B{__typename}`, undefined, didYouMean.repeat(70_000)),
  },
  document('"Did you mean" 70,000 times as a misplaced string', (n) => `{ a${n} "${didYouMean.repeat(70_000)}" }`),
  document('A field name of 1 MB', (n) => `{ a${n}${'a'.repeat(1_000_000)} }`),
  document(
    '100 unused variables in an operation with a name of 900 kB',
    (n) => `query A${n}${'a'.repeat(900_000)}(${times(100, (i) => `$v${i}: ID`)}) { __typename }`,
  ),
  document(
    '100 unknown variables in an operation with a name of 900 kB',
    (n) =>
      `query A${n}${'a'.repeat(900_000)} { ${times(49, (i) => `a${i}: contactPhone(userId: $v${i}) { number }`)} }`,
  ),
  document(
    '60 cycles of 60 fragments, whose names are 5 kB long',
    (n) => `query A${n} { __typename } ${cycles(60, 5_000)}`,
  ),
  document('95 cycles of 95 fragments', (n) => `query A${n} { __typename } ${cycles(95, 10)}`),
  document(
    'An alias of 450 kB in a fragment that 49 aliases use',
    (n) =>
      `query A${n} { ${anEntity} { ... on User { ${times(49, (i) => `a${i}: contactPhone { ...F }`)} } } } ` +
      `fragment F on ContactPhone { ${'b'.repeat(450_000)}: __typename }`,
    goodToken,
  ),
  document('430,000 newlines before 100 unknown fields', (n) => `${newlines} { ${times(100, (i) => `a${n}${i}`)} }`),
  document(
    '430,000 newlines before 50 failing fields',
    (n) => `query A${n} { ${newlines} ${times(49, (i) => `a${i}: contactPhone(userId: "1") { number }`)} }`,
  ),
  document('A syntax error after 430,000 newlines', (n) => `${newlines} { a${n} ! }`),
  document('2,000 tokens of one field', (n) => `query A${n} { ${times(1_990, () => '__typename')} }`),
  document(
    '500 copies of a field with a selection',
    (n) => `query A${n} { ${anEntity} { ... on User { ${times(480, () => 'contactPhone { number }')} } } }`,
  ),
  document(
    '150 copies of a field with long arguments that differ',
    (n) => `query A${n} { ${times(150, (i) => `contactPhone(userId: "${'a'.repeat(6_000)}${i}") { number }`)} }`,
  ),
  document('600 conflicting fields with one name', (n) => `query A${n} { ${times(600, (i) => `a: b${i}`)} }`),
  document(
    'Fragments that spread the next one twice, 100 deep',
    (n) => `query A${n} { ${anEntity} { ...F0 } } ${doubling(100)}`,
  ),
  document(
    '130 fragments side by side',
    (n) =>
      `query A${n} { ${anEntity} { ${times(130, (i) => `...F${i}`)} } } ` +
      times(130, (i) => `fragment F${i} on User { contactPhone { number } }`),
  ),
  document('Fields nested 650 deep', (n) => `query A${n} { ${'a{'.repeat(650)}a${'}'.repeat(650)} }`),
  document(
    'Lists nested 900 deep as a user id',
    (n) => `query A${n} { contactPhone(userId: ${'['.repeat(900)}${']'.repeat(900)}) { number } }`,
  ),
  document('390 operations', (n) => times(390, (i) => `query A${n}x${i} { __typename }`)),
  document(
    '120 operations that use 120 fragments',
    (n) =>
      times(120, (i) => `query A${n}x${i} { ...F0 }`) +
      times(119, (i) => ` fragment F${i} on Query { ...F${i + 1} }`) +
      ' fragment F119 on Query { __typename }',
  ),
  document('330,000 comments', (n) => `query A${n} { __typename } ${'#\n'.repeat(330_000)}`),
  document(
    'A block string of 400,000 lines as a user id',
    (n) => `query A${n} { contactPhone(userId: """${'\n'.repeat(400_000)}""") { number } }`,
  ),
  document(
    'A block string of 400,000 lines as a mode',
    (n) =>
      `mutation A${n} { resendContactPhoneCode(userId: "1", mode: """${'\n'.repeat(400_000)}""") { verificationCode } }`,
  ),
  document(
    '1 MiB of digits as a user id',
    (n) => `query A${n} { contactPhone(userId: ${'9'.repeat(1_040_000)}) { number } }`,
  ),
  document(
    'An alias of 450 kB in a fragment that 50 mutations use, good token',
    (n) =>
      `mutation A${n} { ${times(49, (i) => `a${i}: resendContactPhoneCode(userId: "x${n}y${i}", mode: RETURN_CODE) { ...F }`)} } ` +
      `fragment F on ResendResult { ${'b'.repeat(450_000)}: __typename }`,
    goodToken,
  ),
  document(
    '50 aliased mutations with a forged token',
    (n) =>
      `mutation A${n} { ${times(50, (i) => `a${i}: resendContactPhoneCode(userId: "${i}", mode: RETURN_CODE) { verificationCode }`)} }`,
    forgedToken,
  ),
];
