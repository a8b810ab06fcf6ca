import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import { errors } from '../src/errors.js';
import { startChild } from './support/child.js';
import { extensionKeys, zitadelKeys } from './support/extensions.js';
import { blocks, table } from './support/markdown.js';
import { openStage } from './support/stage.js';

const page = readFileSync('docs/errors.md', 'utf8');

test('its table lists every code and reason with its text, and what to do', () => {
  const all = Object.entries(errors).flatMap(([code, { text, reasons }]) => [
    [code, '', text],
    ...Object.entries(reasons).map(([reason, ofReason]) => [code, reason, ofReason]),
  ]);

  const rows = table(page, 'Codes and reasons');
  expect(rows.map((row) => row.slice(0, 3))).toEqual(all);
  for (const [code, reason, , advice] of rows) expect(advice, `${code} ${reason}`).not.toBe('');
});

test('it names every key of the extensions of an error', () => {
  const rows = table(page.split('\n## ')[0] ?? '', 'Errors');
  const [ofZitadel = ''] = /^\| `zitadel` .*$/m.exec(page) ?? [];

  expect(rows.map(([key]) => key)).toEqual(extensionKeys);
  expect([...ofZitadel.matchAll(/`(\w+)`/g)].slice(1).map(([, key]) => key)).toEqual(zitadelKeys);
});

test('its example is what a client gets', async () => {
  await using stage = await openStage();

  const { errors: answered } = await stage.resend({ userId: '999999999999999999' });

  expect(answered).toEqual(blocks(page, 'json').map((block) => JSON.parse(block) as object));
});

test('its function for extensions, with the package, compiles only without mistakes, and finds a text for each error', async () => {
  const client = await mkdtemp(join(tmpdir(), 'contact-phone-client-'));
  onTestFinished(() => rm(client, { recursive: true }));
  const { name } = JSON.parse(readFileSync('package.json', 'utf8')) as { name: string };
  await mkdir(join(client, 'node_modules'));
  await symlink(process.cwd(), join(client, 'node_modules', name));
  const [, copied = ''] = blocks(page, 'ts');
  const source = copied.replace("'./errors'", `'${name}/errors'`);
  const files = {
    // Node.js would take the next one above, whichever package that is of.
    'package.json': '{}',
    'right.mts': source,
    'wrong-key.mts': source.replaceAll('retryAfter', 'retryAfterwards'),
    'wrong-reason.mts': source.replace('ALREADY_VERIFIED', 'NO_CONNECTION'),
  };
  for (const [file, content] of Object.entries(files)) await writeFile(join(client, file), content);

  const options = ['--ignoreConfig', '--strict', '--module', 'nodenext', '--target', 'es2022'];
  const sources = Object.keys(files).filter((file) => file.endsWith('.mts'));
  await using compiler = startChild([
    'node_modules/typescript/bin/tsc',
    ...options,
    ...sources.map((file) => join(client, file)),
  ]);
  expect(await compiler.exited).not.toBe(0);
  const mistakes = [...compiler.output.stdout.matchAll(/([\w-]+\.mts)\(\d+,\d+\): error/g)].map(([, file]) => file);
  expect(new Set(mistakes)).toEqual(new Set(['wrong-key.mts', 'wrong-reason.mts']));

  await using stage = await openStage({ SMS_LIMITS: '1/1h' });
  await stage.resend();
  const extensions: object[] = [{ code: 'SUBREQUEST_HTTP_ERROR' }];
  for (const userId of [users.unverified.userId, users.verified.userId, '1']) {
    const { errors: answered = [] } = await stage.resend({ userId });
    extensions.push(...answered.map((error) => error.extensions));
  }
  const script = `
    import { textFor } from './right.mjs';
    for (const extensions of ${JSON.stringify(extensions)}) console.log(textFor(extensions));`;
  await using frontend = startChild(['--input-type=module', '--eval', script], {}, process.execPath, client);
  expect([await frontend.exited, frontend.output.stderr]).toEqual([0, '']);
  expect(frontend.output.stdout.replace(/\d+/, '30').split('\n')).toEqual([
    'Something went wrong.',
    'Try again in 30 seconds.',
    'Your phone is already verified.',
    errors.NOT_FOUND.text,
    '',
  ]);
});
