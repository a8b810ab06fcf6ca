import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readConfig } from '../src/config/config.js';
import { environment } from '../src/config/environment.js';
import { maxDepth, maxDirectives, maxNameLength } from '../src/graphql/documents.js';
import { maxAnswerBytes, maxPhones, maxRepresentations } from '../src/graphql/query-cost.js';
import { maxBodyMemory, smallBody } from '../src/http/body-memory.js';
import { startChild } from './support/child.js';
import { blocks, section, table } from './support/markdown.js';
import { main } from './support/production.js';
import { post } from './support/stage.js';

const page = readFileSync('docs/configuration.md', 'utf8');
const ZITADEL_URL = 'https://example.com';

const topics = [
  'ZITADEL',
  'SMS and limits',
  'Redis',
  'HTTP',
  'GraphQL',
  'Logs, metrics and traces',
  'Shutdown',
  'Secrets in files',
];
/** The rows of all variables. */
const variables = topics
  .flatMap((topic) => table(page, topic))
  .filter(([name = '']) => /^[A-Z][A-Z_]+$/.test(name))
  .map(([name = '', value = '', meaning = '']) => ({ name, value, meaning }));

const isAccepted = (env: Record<string, string>) => environment.safeParse({ ZITADEL_URL, ...env }).success;

test('its tables list every variable once, with its default', () => {
  const { data = {} } = environment.safeParse({ ZITADEL_URL });
  const given = variables.filter(({ value }) => !value.startsWith('('));
  // Parse them, since a limit may be written in several ways.
  const { data: read = {} } = environment.safeParse({
    ZITADEL_URL,
    ...Object.fromEntries(given.map(({ name, value }) => [name, value])),
  });

  expect(variables.map(({ name }) => name).toSorted()).toEqual(Object.keys(environment.shape).toSorted());
  expect(read).toEqual(data);
  const required = variables.filter(({ value }) => value === '(required)').map(({ name }) => name);
  expect(required).toEqual(['ZITADEL_URL']);
  const isOff = (value: unknown) => value === undefined || (Array.isArray(value) && value.length === 0);
  const inWords = variables.filter(({ value }) => /^\((none|all|as SMS_LIMITS)\)$/.test(value));
  expect(inWords.length + required.length + given.length).toBe(variables.length);
  for (const { name } of inWords) expect(isOff(data[name as keyof typeof data]), name).toBe(true);
});

test('its ranges of numbers are those that the server accepts', () => {
  const ranges = variables.flatMap(({ name, meaning }) => {
    const [, min, max] = /from (\d+) to (\d+)/.exec(meaning) ?? [];
    return min === undefined ? [] : [{ name, min: Number(min), max: Number(max) }];
  });

  const numbers = variables.filter(({ value }) => /^\d+$/.test(value)).map(({ name }) => name);
  expect(ranges.map(({ name }) => name)).toEqual(numbers);
  for (const { name, min, max } of ranges) {
    const accepted = [min - 1, min, max, max + 1].map((value) => isAccepted({ [name]: String(value) }));
    expect(accepted, name).toEqual([false, true, true, false]);
  }
});

test('it names every word that a variable takes, and every type of numbers', () => {
  const { ZITADEL_API, LOG_LEVEL, LOG_FORMAT } = environment.shape;

  for (const [name, parser] of Object.entries({ ZITADEL_API, LOG_LEVEL, LOG_FORMAT })) {
    const { meaning = '' } = variables.find((one) => one.name === name) ?? {};
    expect(meaning.match(/\w+/g), name).toEqual(expect.arrayContaining(parser.unwrap().options));
  }
  const types = [...section(page, 'Countries and types of numbers').matchAll(/`([A-Z_]{3,})`/g)].map(
    ([, type]) => type,
  );
  const { SMS_NUMBER_TYPES: byDefault } = environment.parse({ ZITADEL_URL });
  const all = [...new Set([...byDefault, ...types])];
  // test/config.test.ts shows that there are no more.
  expect(all).toHaveLength(12);
  expect(isAccepted({ SMS_NUMBER_TYPES: all.join(',') })).toBe(true);
});

test('its formats of limits are accepted and refused as it says', () => {
  const limits = ['SMS_LIMITS', 'SMS_LIMITS_PER_NUMBER', 'SMS_BUDGET', 'VERIFY_LIMIT'];
  const text = section(page, 'How to write a limit');
  const [, duration = '', count = '', budget = ''] =
    /at most `(\w+)`. A count is at most (\d+), in `SMS_BUDGET` at most (\d+)/.exec(text) ?? [];
  const [, refused = ''] = /So `(.*?)` is refused/.exec(text) ?? [];

  const rows = table(page, 'How to write a limit');
  expect(rows).toHaveLength(4);
  for (const [value = '', where = ''] of rows) {
    const named = where === 'all of them' ? limits : where.split(', ');
    for (const name of limits) {
      expect(isAccepted({ [name]: value }), `${name}=${value}`).toBe(named.includes(name));
    }
  }
  for (const name of limits) {
    const most = name === 'SMS_BUDGET' ? budget : count;
    expect(isAccepted({ [name]: `${most}/${duration}` }), name).toBe(true);
    expect(isAccepted({ [name]: `${Number(most) + 1}/${duration}` }), name).toBe(false);
    expect(isAccepted({ [name]: `1/${parseInt(duration) + 1}d` }), name).toBe(false);
    expect(isAccepted({ [name]: refused }), name).toBe(false);
  }
});

test('with the mistakes of its example, the server exits with 1 and prints what it says', async () => {
  const [command = ''] = blocks(page, 'sh');
  const [printed = ''] = blocks(page, 'text');
  const settings = command.trim().split(' ').slice(0, -2);
  const env = Object.fromEntries(settings.map((setting) => setting.split('='))) as NodeJS.ProcessEnv;
  await using server = startChild([main], env);

  expect(await server.exited).toBe(1);
  expect(command).toMatch(/ npm start\n$/);
  expect(settings).toHaveLength(3);
  expect(server.output).toEqual({ stdout: '', stderr: printed });
});

test('it refuses the unknown variables that it should, and no others', () => {
  const text = section(page, 'What it refuses');
  const [, prefixes = '', others = ''] = /begins with (.*?), or if it begins with (.*?) and/s.exec(text) ?? [];
  const namesIn = (list: string) => [...list.matchAll(/`(\w+_)`/g)].map(([, prefix]) => prefix);
  const refuses = (name: string) => {
    try {
      readConfig({ ZITADEL_URL, [name]: 'a' });
      return false;
    } catch {
      return true;
    }
  };
  const [, ofService = ''] = /such\s+as\s+`(\w+)`, are ignored/.exec(text) ?? [];

  expect([namesIn(prefixes).length, namesIn(others).length]).toEqual([3, 2]);
  for (const prefix of namesIn(prefixes)) expect(refuses(`${prefix}NONSENSE`), prefix).toBe(true);
  for (const prefix of namesIn(others)) expect(refuses(`${prefix}NONSENSE`), prefix).toBe(false);
  expect(['PHONE_HASH_KEYS', 'REDIS_URI', ofService, 'NONSENSE'].map(refuses)).toEqual([true, true, false, false]);
  expect(ofService).not.toBe('');
});

test('its limits for requests are those of the code', () => {
  const text = section(page, 'Request limits').replace(/\s+/g, ' ');
  const mebibytes = (bytes: number) => bytes / 1024 / 1024;

  for (const sentence of [
    `at most ${maxDepth} levels and ${maxDirectives} directives, and names of at most ${maxNameLength} characters`,
    `at most ${maxRepresentations} representations and ${maxPhones} contact phones`,
    `its answer may not exceed ${mebibytes(maxAnswerBytes)} MiB`,
    `Bodies over ${smallBody / 1024} KiB share ${mebibytes(maxBodyMemory)} MiB`,
  ]) {
    expect(text).toContain(sentence);
  }
});

test('the demo has the defaults that it lists', async () => {
  await using demo = startChild(['dist/demo.js'], { PORT: '0' });
  const [, url = '', host] = await demo.printed(/The subgraph is at (http:\/\/([\d.]+):\d+)\/graphql/);
  const [, limits] = await demo.printed(/SMS_LIMITS=(\S+) allows/);
  const { data } = await post<object>(`${url}/graphql`, { query: '{ __schema { queryType { name } } }' });
  const playground = await fetch(`${url}/playground`);
  const origins = ['http://localhost:5173', 'http://127.0.0.1:5173', 'https://localhost:5173', 'https://example.com'];
  const isAllowed = async (origin: string) =>
    (await post(`${url}/graphql`, {}, { origin })).headers.get('access-control-allow-origin') === origin;

  expect(await Promise.all(origins.map(isAllowed))).toEqual([true, true, false, false]);
  const cors = 'http://localhost:*,http://127.0.0.1:*';
  expect(table(page, "The demo's defaults")).toEqual([
    ['HOST', host],
    ['SMS_LIMITS', limits],
    ['CORS_ORIGINS', cors],
    ['INTROSPECTION', String(data !== undefined)],
    ['PLAYGROUND', String(playground.ok)],
    ['LOG_FORMAT', demo.output.stdout.includes('"level"') ? 'json' : 'pretty'],
  ]);
});
