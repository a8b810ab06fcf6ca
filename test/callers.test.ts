import { expect, test } from 'vitest';
import { authenticKeyOf, callerOf, KnownCallers } from '../src/limits/callers.js';
import { stopClock } from './support/clock.js';

const caller = (authorization: string) => callerOf(authorization, () => false);
const tokenKeyOf = (token: string) => caller(`Bearer ${token}`).tokenKey;
const base64 = (text: string) => Buffer.from(text).toString('base64url');
const jwt = (claims: string, signature = 'c2lnbmF0dXJl') =>
  `${base64('{"alg":"RS256"}')}.${base64(claims)}.${signature}`;

test.for([
  ['a JWT', jwt('{"sub":"1"}', 'c2lnbmF0dXJlLg'), jwt('{"sub":"1"}', 'c2lnbmF0dXJlLh')],
  ['an opaque token', 'b3BhcXVlLXRva2VuIQ', 'b3BhcXVlLXRva2VuIR=='],
] as const)('identifies %s by its decoded Base64', ([, one, same]) => {
  expect(tokenKeyOf(same)).toBe(tokenKeyOf(one));
  expect(tokenKeyOf(`${one}A`)).not.toBe(tokenKeyOf(one));
});

test('distinguishes tokens that differ only in where their parts end', () => {
  expect(new Set(['YQYQ.YQ', 'YQ.YQYQ', 'YQYQYQ'].map(tokenKeyOf)).size).toBe(3);
});

test('stores no token', () => {
  expect(tokenKeyOf('S3CR3T-of-someone')).toMatch(/^[\w-]{43}$/);
});

test('callers with nonstandard headers are all one caller, of no user', () => {
  const token = jwt('{"sub":"1"}');
  const odd = [
    '',
    'Bearer',
    `bearer ${token}`,
    `Bearer  ${token}`,
    `x Bearer ${token}`,
    `Bearer ${token} `,
    `Bearer ${token}\n`,
    `Bearer ${token} Bearer ${token}`,
    `Bearer ü${token}`,
  ].map(caller);

  expect(new Set(odd.map(authenticKeyOf)).size).toBe(1);
  expect(odd.map(({ subject }) => subject)).toEqual(odd.map(() => undefined));
  expect(odd[0]?.tokenKey).not.toBe(tokenKeyOf(token));
});

test.for([
  ['two parts', jwt('{"sub":"1"}').split('.').slice(0, 2).join('.')],
  ['four parts', `${jwt('{"sub":"1"}')}.YQ`],
  ['no JSON', jwt('no JSON')],
  ['no object', jwt('"1"')],
  ['null', jwt('null')],
  ['no sub', jwt('{"iss":"1"}')],
  ['a sub that is no string', jwt('{"sub":1}')],
  ['bytes that are not UTF-8', `a.${Buffer.of(0xff, 0xfe).toString('base64url')}.b`],
] as const)('a token with %s names nobody', ([, token]) => {
  const { subject, tokenKey } = caller(`Bearer ${token}`);

  expect(subject).toBeUndefined();
  expect(authenticKeyOf(caller(`Bearer ${token}`))).toBe(tokenKey);
});

test('all JWTs of one person are one caller, whatever else is in them', () => {
  const keys = ['{"sub":"1"}', '{"sub":"1","exp":1}', '{"exp":2,"sub":"1"}', '{"sub":"2"}'].map((claims, index) =>
    authenticKeyOf(caller(`Bearer ${jwt(claims, `signatu${index}`)}`)),
  );

  expect(keys[1]).toBe(keys[0]);
  expect(keys[2]).toBe(keys[0]);
  expect(keys[3]).not.toBe(keys[0]);
  // No hash contains a space, so no token can have another person's key.
  expect(keys[0]).toContain(' ');
});

test('ranks callers per user, by what ZITADEL last answered to their writes', () => {
  const clock = stopClock();
  const known = new KnownCallers();
  const [one, other] = [caller('Bearer b25l'), caller('Bearer b3RoZXIh')];
  const ranks = () => [one, other].flatMap((each) => ['1', '2'].map((userId) => known.rankOf(each, userId)));
  expect(ranks()).toEqual(['unknown', 'unknown', 'unknown', 'unknown']);

  known.noteAccepted(one, '1');
  known.noteRefused(other, '1');
  expect(ranks()).toEqual(['accepted', 'unknown', 'refused', 'unknown']);

  clock.move(30);
  known.noteRefused(one, '1');
  clock.move(30);
  expect(ranks()).toEqual(['refused', 'unknown', 'unknown', 'unknown']);
  known.noteAccepted(one, '1');
  expect(ranks()).toEqual(['accepted', 'unknown', 'unknown', 'unknown']);
});

test('ranks a JWT as accepted for the user that it names, and all JWTs of a person by the answers to any of them', () => {
  const known = new KnownCallers();
  const [one, same] = ['eA', 'eQ'].map((signature) => caller(`Bearer ${jwt('{"sub":"7"}', signature)}`));
  if (!one || !same) throw new Error('There are two.');

  expect(['7', '8'].map((userId) => known.rankOf(one, userId))).toEqual(['accepted', 'unknown']);
  known.noteAccepted(one, '8');
  expect(known.rankOf(same, '8')).toBe('accepted');

  // Another token that names the same person may be forged, until ZITADEL has accepted it.
  known.noteAuthenticated(one);
  expect([known.isAuthenticated(one), known.isAuthenticated(same)]).toEqual([true, false]);
});
