import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import { openCoverage } from './support/coverage.js';
import { openProduction, unbundledMain } from './support/production.js';
import { readMany, user } from './support/reads.js';
import { resend, unverified } from './support/stage.js';

// How much there is to read: in all, in one file, and to follow one request.
const maxFiles = 82;
const maxLines = 200;
const maxVisited = 29;

test('has few files, and none of them is long', () => {
  const files = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  const isLong = (file: string) => readFileSync(join('src', file), 'utf8').trimEnd().split('\n').length > maxLines;

  expect(files.filter(isLong)).toEqual([]);
  expect(files.length, files.join('\n')).toBeLessThanOrEqual(maxFiles);
});

test.each([
  ['resend by SMS', (url: string) => resend(url)],
  ['_entities', (url: string) => readMany(`${url}/graphql`, [user(users.verified.userId), user(unverified)])],
])('%s visits few files', async (_, send) => {
  await using production = await openProduction({ SMS_LIMITS: '20/24h' }, ['--inspect=127.0.0.1:0', unbundledMain]);
  const [, inspector = ''] = await production.server.complained(/(ws:\S+)/);
  // The health check at the start, and what the first requests initialise, must not count.
  await production.server.printed(/ZITADEL is up/);
  for (let request = 0; request < 5; request += 1) await send(production.url);

  using coverage = await openCoverage(inspector, 'dist');
  await coverage.visited();
  expect(await send(production.url)).toMatchObject({ status: 200, errors: undefined });
  const visited = await coverage.visited();

  expect(visited).toContain('graphql/endpoint.js');
  expect(visited.length, visited.join('\n')).toBeLessThanOrEqual(maxVisited);
});
