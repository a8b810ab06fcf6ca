import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startChild } from './support/child.js';
import { post } from './support/stage.js';

const run = promisify(execFile);

// What npm packs, from an existing build, and in a folder outside of this repository.

let folder: string;
let files: string[];

beforeAll(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'contact-phone-pack-')));
  // The other tests use the build meanwhile.
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder]);
  const [pack] = JSON.parse(stdout) as { filename: string; files: { path: string }[] }[];
  files = pack?.files.map(({ path }) => path) ?? [];
  await run('tar', ['-xzf', pack?.filename ?? ''], { cwd: folder });
  await symlink(resolve('node_modules'), join(folder, 'node_modules'));
});
afterAll(() => rm(folder, { recursive: true }));

test('it holds the whole build, the schema and the documentation, and nothing else', async () => {
  const sources = (await readdir('src', { recursive: true })).filter((path) => path.endsWith('.ts'));
  const built = sources.map((path) => `dist/${path.replace(/ts$/, 'js')}`);
  const bundled = (await readdir('dist/bundle')).map((name) => `dist/bundle/${name}`);
  const operations = (await readdir('schema/operations')).map((name) => `schema/operations/${name}`);
  const docs = (await readdir('docs')).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`);
  const others = files.filter((path) => !path.includes('/') && path !== 'LICENSE');

  const schemas = ['schema/contact-phone.client.graphql', 'schema/contact-phone.graphql'];
  // .graphqlrc.yml names the schema for clients and the operations. Frontends copy errors.ts.
  expect(others.sort()).toEqual(['.graphqlrc.yml', 'CHANGELOG.md', 'README.md', 'package.json']);
  expect(files.filter((path) => path.includes('/')).sort()).toEqual(
    [...built, ...bundled, 'dist/errors.d.ts', 'src/errors.ts', ...schemas, ...operations, ...docs].sort(),
  );
  expect(files).toEqual(
    expect.arrayContaining([
      'dist/bundle/main.js',
      'dist/bundle/main.js.map',
      'dist/cli.js',
      'dist/demo.js',
      'dist/embedded-zitadel/embedded-zitadel.js',
    ]),
  );
});

test('its command runs the demo with the playground in an empty folder', async () => {
  const empty = join(folder, 'empty');
  await mkdir(empty);
  const command = join(folder, 'package/dist/cli.js');
  await using demo = startChild([command, '--demo'], { PORT: '0' }, process.execPath, empty);
  const [, url = ''] = await demo.printed(/The subgraph is at (\S+),/);

  expect((await fetch(new URL('/playground/', url))).status).toBe(200);
  expect(await (await fetch(new URL('/playground/init.js', url))).text()).toContain('SetContactPhone');
  expect(await post(url, { query: '{ __typename }' })).toMatchObject({ data: { __typename: 'Query' } });
  expect(await readdir(empty)).toEqual([]);
});
