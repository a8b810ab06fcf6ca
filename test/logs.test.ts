import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { tokens, users, type EmbeddedUser } from '../src/embedded-zitadel/population.js';
import { crowd } from './support/crowd.js';

const folder = process.env['TEST_LOG_FOLDER'] ?? '';
const read = (ending: string) =>
  readdirSync(folder)
    .filter((file) => file.endsWith(ending))
    .map((file) => readFileSync(join(folder, file), 'utf8'));

test('the logs of the whole suite contain no token, verification code or phone number', () => {
  const lines = read('.log').flatMap((log) => log.split('\n').filter(Boolean));
  const spaced = lines.map((line) => line.replaceAll('\\n', '\n'));
  const codes = read('.secrets').flatMap((secrets) => JSON.parse(secrets) as string[]);
  const everybody: EmbeddedUser[] = [...Object.values(users), ...crowd(300)];
  const numbers = everybody.flatMap(({ phone }) => (phone ? [phone.number.slice(1)] : []));
  const secrets = [
    ...Object.values(tokens).map(({ token }) => token),
    ...numbers,
    ...codes,
    'Bearer (?!…)',
    'dXNlcjpwYXNz',
    'S3CR3T',
  ];
  const pattern = new RegExp(`(?<![A-Za-z0-9])(${secrets.join('|')})`);

  // Make sure that there was something to find: servers in this process and in others, failed calls, and dozens of codes.
  const levels = lines
    // The last line of a killed server may be truncated.
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => (JSON.parse(line) as { level: string }).level);
  expect(levels).toEqual(expect.arrayContaining(['debug', 'info', 'warn']));
  expect(lines.length).toBeGreaterThan(100);
  expect(codes.length).toBeGreaterThan(20);
  expect(spaced.filter((line) => pattern.test(line))).toEqual([]);
  // Nothing that looks like a phone number, whatever its origin.
  expect(spaced.filter((line) => /\+ ?\d(?:[ ().-]{0,2}\d){6}/.test(line))).toEqual([]);
});
