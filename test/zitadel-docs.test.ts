import { readFileSync } from 'node:fs';
import { buildSchema, parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { readConfig } from '../src/config/config.js';
import { KnownCallers } from '../src/limits/callers.js';
import { GuessLimit } from '../src/limits/guess-limit.js';
import { MemoryStore } from '../src/limits/memory-store.js';
import { Reservations } from '../src/limits/reservations.js';
import { RedisStore } from '../src/limits/redis-store.js';
import { SmsLimit } from '../src/limits/sms-limit.js';
import { composeWith } from './gateways/supergraph.js';
import { corpus, type Recorded } from './support/corpus.js';
import { section } from './support/markdown.js';

const page = readFileSync('docs/zitadel.md', 'utf8');

/** What was recorded under each name that a text quotes: one entry, or all entries whose names begin with it. */
function recordedIn(text: string): { quoted: string; entries: Recorded[] }[] {
  const groups = new Set(corpus.map(({ name }) => name.split(':')[0]));
  const spans = [...text.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span.replace(/\s+/g, ' '));
  return spans
    .filter((span) => groups.has(/^[\w-]+(?=:\S|$)/.exec(span)?.[0]))
    .map((quoted) => ({ quoted, entries: corpus.filter(({ name }) => `${name}:`.startsWith(`${quoted}:`)) }));
}

function rowsOf(heading: string): string[][] {
  const rows = section(page, heading)
    .split('\n')
    .filter((line) => line.startsWith('| '));
  return rows.map((row) => row.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '').trim()));
}

test('quotes only entries that were recorded, next to the statuses and error ids that are in them', () => {
  const paragraphsItemsAndRows = page.split(/\n(?=\n|- |\| )/);

  expect(recordedIn(page).length).toBeGreaterThan(50);
  for (const text of paragraphsItemsAndRows) {
    const recorded = recordedIn(text);
    for (const { quoted, entries } of recorded) expect(entries, quoted).not.toEqual([]);
    const answers = recorded.flatMap(({ entries }) => entries.map(({ response }) => response));
    const bodies = answers.map(({ body }) => body).join('\n');
    for (const [, id = ''] of text.matchAll(/`([A-Z]{4,}-\w+|RECOVER)`/g)) expect(bodies, text).toContain(`(${id})`);
    const statuses = [...text.matchAll(/\b[45]\d\d(?=, | with | \()/g)].map(([status]) => Number(status));
    expect(
      answers.map(({ status }) => status),
      text,
    ).toEqual(expect.arrayContaining(statuses));
  }
});

test('its table of permissions shows what was recorded, of every caller', () => {
  /** How the names of a column's entries end. */
  const columns = ['get', '(set|resend)-send', '(set|resend)-return', 'set-verified', 'verify.*', 'remove'];
  const answerOf = ({ response: { status, body } }: Recorded) => {
    // ZITADEL checks the permission before the code.
    if (status === 200 || body.includes('COMMAND-eis9R')) return 'yes';
    return /\((AUTH-AWfge|AUTH-Swrgg2|AUTHZ-cdgFk)\)/.test(body) ? 'no' : body;
  };
  const [, , ...rows] = rowsOf('Who may do what');

  for (const [caller, names = '', ...cells] of rows) {
    const entries = recordedIn(names).flatMap((recorded) => recorded.entries);
    const answers = columns.map((ending) => {
      const ofColumn = entries.filter(({ name }) => new RegExp(`:${ending}$`).test(name));
      return [...new Set(ofColumn.map(answerOf))].join(' and ');
    });
    // The footnote says that this was not recorded.
    expect(
      cells.map((cell) => cell.replace('no¹', '')),
      caller,
    ).toEqual(answers);
  }
  const shown = rows.flatMap(([, names = '']) => recordedIn(names).map(({ quoted }) => quoted));
  const callers = new Set(corpus.flatMap(({ name }) => /^caller:\w+/.exec(name) ?? []));
  for (const refused of ['expired', 'deadMachine', 'garbage']) callers.delete(`caller:${refused}`);
  expect(shown).toEqual(expect.arrayContaining([...callers]));
});

test('its examples for a User with another key compose; without them that fails; a UUID as id composes too', () => {
  const blocks = [...page.matchAll(/^```graphql\n(.*?)^```/gms)].map(([, sdl = '']) => sdl);
  const [secondKey = '', stub = ''] = blocks;
  const [head = ''] = secondKey.split('\n');
  const query = 'type Query { me: User }';

  for (const sdl of [...blocks, `${head} ${query} type User @key(fields: "id") { id: ID! name: String }`]) {
    const { errors, hints } = composeWith(sdl);
    expect([errors, hints]).toEqual([undefined, []]);
  }
  const { errors } = composeWith(`${head} ${query} type User @key(fields: "uuid") { uuid: ID! }`);
  expect(new Set(errors?.map(({ extensions }) => extensions['code']))).toEqual(new Set(['SATISFIABILITY_ERROR']));

  const supergraph = buildSchema(composeWith(stub).supergraphSdl ?? '', { assumeValidSDL: true });
  const [, document = ''] = /`(\{ me [^`]+\})`/.exec(page) ?? [];
  expect(validate(supergraph, parse(document))).toEqual([]);
});

test('its table of Redis keys lists all of them', async () => {
  const keys = new Set<string>();
  /** A Redis that notes the keys, and is down. */
  const redis = {
    keyPrefix: '{contact-phone}:',
    state: 'down' as const,
    run: (_: unknown, used: readonly string[]) => {
      for (const key of used)
        keys.add(key.replace(/:[\w-]{43}$/, ':<hash of the number>').replace(/:CH$/, ':<country>'));
      return Promise.resolve(undefined);
    },
  };
  const config = readConfig({ ZITADEL_URL: 'http://127.0.0.1', SMS_BUDGET: '9/1h,CH:9/1h' }).limits;
  const reservations = new Reservations(new MemoryStore(11_000), new RedisStore(redis, 11_000));
  const known = new KnownCallers();
  const guesses = new GuessLimit(reservations, known, config.verifyLimit);
  const sms = new SmsLimit(reservations, known, guesses, config, () => {});
  const caller = { tokenKey: '<caller>', subject: undefined, isGone: () => false };
  const call = () => Promise.resolve();

  await sms.run({ userId: '<user id>', number: '+41791234567', country: 'CH' }, caller, 1_000, call, () => 'DONE');
  await guesses.run('<user id>', caller, () => Promise.resolve(true), call);
  await guesses.clear('<user id>', caller);
  // Of the connection.
  keys.add('{contact-phone}:probe');

  const listed = rowsOf('What is stored where').flatMap(
    ([key = '']) => /^`(\{contact-phone\}:.*)`$/.exec(key)?.[1] ?? [],
  );
  expect(listed.toSorted()).toEqual([...keys].toSorted());
});

test('the README links it where it names the scope', () => {
  const [, scope = 'none'] = /`(urn:zitadel:[^`]+)`/.exec(page) ?? [];

  const start = section(readFileSync('README.md', 'utf8'), 'Run it with your ZITADEL');
  expect(start).toContain(`\`${scope}\``);
  expect(start).toContain('(docs/zitadel.md#the-scope)');
});
