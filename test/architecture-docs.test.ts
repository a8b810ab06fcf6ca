import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { environment } from '../src/config/environment.js';
import { users } from '../src/embedded-zitadel/population.js';
import { errors } from '../src/errors.js';
import { openCoverage } from './support/coverage.js';
import { blocks, headings, section, table } from './support/markdown.js';
import { openProduction, unbundledMain } from './support/production.js';
import { resend, zitadelApi } from './support/stage.js';

const read = (path: string) => readFileSync(path, 'utf8');
const page = read('docs/architecture.md');
const contributing = read('CONTRIBUTING.md');
const pages = { 'docs/architecture.md': page, 'CONTRIBUTING.md': contributing };
const manifest = JSON.parse(read('package.json')) as {
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
};

const isFolder = (path: string) => statSync(path).isDirectory();
const testFolders = ['test', ...readdirSync('test').map((name) => `test/${name}`)].filter(isFolder);
const testFiles = testFolders.flatMap((folder) => readdirSync(folder).map((name) => `${folder}/${name}`));

/** What stands in backquotes. */
const quotedIn = (text: string) => [...text.matchAll(/`([^`\n]+)`/g)].map(([, quoted = '']) => quoted);

/** The files in `src/`, as the coverage of `dist/` names them. */
const filesIn = (text: string) => {
  const other = zitadelApi === 'rest' ? 'connect' : 'rest';
  const files = quotedIn(text).flatMap((quoted) => /^src\/(.*)\.ts$/.exec(quoted)?.[1] ?? []);
  return new Set(files.filter((file) => file !== `zitadel/${other}`).map((file) => `${file}.js`));
};

const walk = section(page, 'One mutation, step by step');
const [beforeTheWalk = ''] = walk.split('\n### ');
const wayIn = section(page, 'The way in');
const wayBack = section(page, 'The way back');
const whenItFails = section(page, 'When it fails');

test('its walk names the files that a resend by SMS visits, and what a new document and a failure add', async () => {
  await using production = await openProduction({ SMS_LIMITS: '20/24h' }, ['--inspect=127.0.0.1:0', unbundledMain]);
  const [, inspector = ''] = await production.server.complained(/(ws:\S+)/);
  await production.server.printed(/ZITADEL is up/);
  using coverage = await openCoverage(inspector, 'dist');
  const visitedBy = async (userId: string) => {
    await coverage.visited();
    const answer = await resend(production.url, { userId });
    return { reason: answer.errors?.[0]?.extensions.reason, files: new Set(await coverage.visited()) };
  };

  const first = await visitedBy(users.unverified.userId);
  // What the first requests initialise must not count.
  for (let request = 0; request < 4; request += 1) await resend(production.url);
  const next = await visitedBy(users.unverified.userId);
  const failing = await visitedBy(users.verified.userId);

  expect([first, next, failing].map(({ reason }) => reason)).toEqual([undefined, undefined, 'ALREADY_VERIFIED']);
  const added = ({ files }: typeof next) => [...files].filter((file) => !next.files.has(file));
  expect([...filesIn(wayIn + wayBack)].sort()).toEqual([...next.files].sort());
  expect([...filesIn(beforeTheWalk)].sort()).toEqual(added(first).sort());
  // Its texts are data, which no function reads.
  expect([...filesIn(whenItFails)].sort()).toEqual([...added(failing), 'errors.js'].sort());
});

test('the functions that it names are in the files that it names them with', () => {
  const named = [...page.matchAll(/`(src\/[\w./-]+\.ts)`\s+\(((?:`\w+`(?:,\s+)?)+)\)/g)];

  expect(named.length).toBeGreaterThan(30);
  for (const [, file = '', names = ''] of named)
    for (const name of quotedIn(names)) expect(read(file), file).toMatch(new RegExp(`\\b${name}\\b`));
});

test.for(Object.entries(pages))('the files and links in %s exist', ([path, text]) => {
  const quoted = quotedIn(text);
  const paths = quoted.filter((one) => /^(src|test|schema|docs)\/\S+$/.test(one));

  expect(paths).not.toEqual([]);
  expect(paths.filter((one) => !existsSync(one))).toEqual([]);
  const tests = quoted.filter((one) => /^\w[\w-]*\.test\.ts$/.test(one));
  expect(tests.filter((one) => !testFiles.some((file) => file.endsWith(`/${one}`)))).toEqual([]);
  for (const [, link = ''] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    const [file = '', anchor] = link.split('#');
    const target = join(dirname(path), file);
    expect(existsSync(target), link).toBe(true);
    const anchors = anchor === undefined ? [] : headings(read(target)).map((one) => one.text.toLowerCase());
    if (anchor !== undefined) expect(anchors, link).toContain(anchor.replaceAll('-', ' '));
  }
});

test('the codes, reasons, outcomes and variables in its walk exist', () => {
  const known = [
    ...Object.entries(errors).flatMap(([code, { reasons }]) => [code, ...Object.keys(reasons)]),
    ...Object.keys(environment.shape),
    ...['DONE', 'NOT_DONE', 'UNKNOWN', 'SEND_CODE'],
  ];

  expect(known).toEqual(expect.arrayContaining(quotedIn(walk).filter((quoted) => /^[A-Z_]+$/.test(quoted))));
});

interface Rule {
  name: string;
  from: { path?: string };
  to: { pathNot?: string | string[] };
}

/** What may import what, and the names of the further rules. */
async function importRules() {
  const config: unknown = await import(pathToFileURL('.dependency-cruiser.js').href);
  const { forbidden } = (config as { default: { forbidden: Rule[] } }).default;
  const isRoom = ({ to: { pathNot } }: Rule) => Array.isArray(pathNot);
  const roomIn = (path = '') => /^\^src\/([\w-]+)\(/.exec(path)?.[1] ?? path;
  const rooms = new Map(
    forbidden.filter(isRoom).map(({ from, to }) => {
      const [own = '', ...allowed] = [to.pathNot ?? []].flat().map(roomIn);
      expect(roomIn(from.path)).toBe(own);
      return [own, allowed];
    }),
  );
  return { rooms, others: forbidden.filter((rule) => !isRoom(rule)).map(({ name }) => name) };
}

/** The solid arrows of a flowchart. Mermaid lets several nodes share one, and the next begin where one ends. */
function arrowsIn(flowchart: string): string[] {
  return flowchart.split('\n').flatMap((line) => {
    const nodes = line.split('-->').map((part) => part.split('&').map((node) => /[\w-]+/.exec(node)?.[0] ?? ''));
    return nodes.slice(1).flatMap((to, index) => (nodes[index] ?? []).flatMap((a) => to.map((b) => `${a} --> ${b}`)));
  });
}

test('its picture shows what may import what, without the arrows that follow from others', async () => {
  const { rooms } = await importRules();
  const below = (room: string): string[] => (rooms.get(room) ?? []).flatMap((next) => [next, ...below(next)]);
  const expected = [...rooms].flatMap(([room, allowed]) => {
    const isDirect = (one: string) => !allowed.some((other) => below(other).includes(one));
    return allowed.filter(isDirect).map((one) => `${room} --> ${one}`);
  });
  const [flowchart = ''] = blocks(page, 'mermaid');

  expect(arrowsIn(flowchart).sort()).toEqual(expected.sort());
  expect(readdirSync('src').map((entry) => entry.replace('.ts', ''))).toEqual([...rooms.keys()].sort());
  const labels = [...flowchart.matchAll(/([\w-]+)\["(.*?)"\]/g)].map(([, room = '', label = '']) => [room, label]);
  expect(labels.map(([room]) => room).sort()).toEqual([...rooms.keys()].sort());
  for (const [room = '', label = ''] of labels) {
    expect([`${room}/`, `${room}.ts`]).toContain(label);
    expect(existsSync(join('src', label)), label).toBe(true);
  }
});

test('its list of further rules for imports is complete', async () => {
  const { others } = await importRules();
  const named = [...section(page, 'What may import what').matchAll(/^- `([\w-]+)`: /gm)].map(([, name]) => name);

  expect(named).toEqual(others);
});

test('its table of parts names the production dependencies, and the packages below it are those of tests', () => {
  const parts = table(page, 'Parts').flatMap(([names = '']) => names.split(', '));
  const [, afterTable = ''] = section(page, 'Parts').split(/\|\n\n/);
  const scoped = afterTable.match(/@[\w-]+\/[\w-]+/g) ?? [];
  const manifests = ['package.json', ...testFiles.filter((file) => file.endsWith('/package.json'))].map(read);

  expect(parts.sort()).toEqual(Object.keys(manifest.dependencies).sort());
  expect(scoped.length).toBeGreaterThan(3);
  for (const name of scoped) expect(manifests.join(), name).toContain(`"${name}": `);
});

test('the commands exist, and the examples of running a test name one', () => {
  const commands = blocks(contributing, 'sh').join('');
  const scripts = [...`${page}${contributing}`.matchAll(/npm run ([\w:-]+)/g)].map(([, script = '']) => script);
  const vitest = [...commands.matchAll(/^npx vitest run --config (\S+) --project (\w+) (\S+)(?: -t '(.*)')?$/gm)];

  expect(Object.keys(manifest.scripts)).toEqual(expect.arrayContaining([...scripts, 'test']));
  expect(vitest).toHaveLength(commands.match(/^npx /gm)?.length ?? 0);
  for (const [, config = '', project = '', file = '', title = ''] of vitest) {
    expect(read(config)).toContain(`name: '${project}'`);
    expect(read(file)).toContain(title);
  }
});

test('the length of files that it asks for is the one that is checked', () => {
  const [, maxLines] = /const maxLines = (\d+);/.exec(read('test/house.test.ts')) ?? [];

  expect(contributing).toContain(`at most ${maxLines} lines`);
});
