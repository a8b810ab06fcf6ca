import { readdirSync, readFileSync } from 'node:fs';
import { SourceMap } from 'node:module';
import { resolve } from 'node:path';
import { buildSubgraphSchema, printSubgraphSchema } from '@apollo/subgraph';
import { parse } from 'graphql';
import { expect, test } from 'vitest';
import { linesOf, main, openProduction } from './support/production.js';
import { post } from './support/stage.js';

// What `npm start` and the image run. The other tests that start processes use it too.

test('it serves the committed schema', async () => {
  await using production = await openProduction();

  const { data } = await post<{ _service: { sdl: string } }>(`${production.url}/graphql`, {
    query: '{ _service { sdl } }',
  });

  const printed = printSubgraphSchema(buildSubgraphSchema(parse(data?._service.sdl ?? '')));
  expect(`${printed}\n`).toBe(readFileSync('schema/contact-phone.graphql', 'utf8'));
});

test('it finds the files that it reads: the playground, the example operations and its version', async () => {
  await using production = await openProduction({ PLAYGROUND: 'true' });
  const get = async (path: string) => {
    const response = await fetch(new URL(path, production.url));
    return { status: response.status, text: await response.text() };
  };

  const page = await get('/playground/');
  const [, script = ''] = /<script src="(main[^"]*)"/.exec(page.text) ?? [];
  expect(page.status).toBe(200);
  expect((await get(`/playground/${script}`)).status).toBe(200);
  expect((await get('/playground/init.js')).text).toContain('SetContactPhone');
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  expect(linesOf(production.server)).toContainEqual(expect.objectContaining({ msg: 'Starting', version }));
});

test('it has only Latin-1 characters, which V8 stores in one byte each', () => {
  const files = readdirSync('dist/bundle').filter((name) => name.endsWith('.js'));

  expect(files.filter((name) => /[^\0-\xff]/.test(readFileSync(`dist/bundle/${name}`, 'utf8')))).toEqual([]);
});

test('it carries the licences of the packages that it contains', () => {
  const licences = readFileSync('dist/bundle/LICENSES.txt', 'utf8');

  expect(licences).toMatch(/^@apollo\/federation-internals \S+: Elastic-2\.0\n\nCopyright .* Apollo Graph/m);
  expect(licences).toMatch(/^undici \S+: MIT\n\nMIT License/m);
});

test('its source map leads to the files that it is made from', () => {
  const lines = readFileSync(main, 'utf8').split('\n');
  const line = lines.findIndex((text) => text.includes('Effective limits'));
  const map = new SourceMap(
    JSON.parse(readFileSync(`${main}.map`, 'utf8')) as ConstructorParameters<typeof SourceMap>[0],
  );
  const entry = map.findEntry(line, (lines[line] ?? '').indexOf('Effective limits'));

  expect(entry).toMatchObject({ originalLine: expect.any(Number) as number });
  const { originalSource, originalLine } = entry as { originalSource: string; originalLine: number };
  const source = resolve('dist/bundle', originalSource);
  expect(source).toBe(resolve('dist/server.js'));
  expect(readFileSync(source, 'utf8').split('\n')[originalLine]).toContain('Effective limits');
});
