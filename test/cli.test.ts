import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { demoDefaults, environment } from '../src/config/environment.js';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { startChild } from './support/child.js';
import { linesOf, listening, main, openProduction } from './support/production.js';
import { bearer, post, resend, type GraphQLAnswer } from './support/stage.js';

const cli = 'dist/cli.js';
const example = readFileSync('.env.example', 'utf8');

const ZITADEL_URL = 'https://example.zitadel.cloud';
const names = Object.keys(environment.shape);
const meanings = Object.entries(environment.shape).map(([name, { description }]) => [name, description]);

/** Runs the command to its end. */
async function run(args: string[], env?: NodeJS.ProcessEnv) {
  await using child = startChild([cli, ...args], env);
  return { exitCode: await child.exited, ...child.output };
}

const temporaryFolder = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'contact-phone-cli-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
};

/** Expects that setting these defaults changes nothing, and that only variables without a default are missing. */
function expectDefaults(defaults: Record<string, string>): void {
  const unset = environment.parse({ ZITADEL_URL });
  expect(environment.parse({ ZITADEL_URL, ...defaults })).toEqual(unset);
  const isOff = (value: unknown) => value === undefined || (Array.isArray(value) && value.length === 0);
  const missing = Object.entries(unset).filter(([name]) => name !== 'ZITADEL_URL' && !(name in defaults));
  expect(missing.filter(([, value]) => !isOff(value))).toEqual([]);
}

test('--help lists every variable, what it means, its default and that of the demo, in 100 columns', async () => {
  const { exitCode, stdout, stderr } = await run(['--help']);

  expect([exitCode, stderr]).toEqual([0, '']);
  expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([]);
  for (const option of ['--demo', '--help', '--version']) expect(stdout).toContain(`\n  ${option} `);
  const rows = [...stdout.replace(/\n {3,}/g, ' ').matchAll(/^ {2}([A-Z_]+) +(.*?)(?: \(((?:default|demo) .*)\))?$/gm)];
  expect(rows.map(([, name, meaning]) => [name, meaning])).toEqual(meanings);
  const shown = (kind: string) =>
    Object.fromEntries(
      rows.flatMap(([, name = '', , defaults = '']) => {
        const one = defaults.split(', ').find((text) => text.startsWith(`${kind} `));
        return one === undefined ? [] : [[name, one.slice(kind.length + 1)]];
      }),
    );
  expectDefaults(shown('default'));
  expect(shown('demo')).toEqual(demoDefaults);
});

test('--version prints the version of the package', async () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };

  expect(await run(['--version'])).toEqual({ exitCode: 0, stdout: `${version}\n`, stderr: '' });
});

test.each([
  ['--version', [], ['cli.js', 'version.js']],
  [
    '--help',
    ['libphonenumber-js', 'zod'],
    [
      'cli.js',
      'config/environment.js',
      'config/limit-variables.js',
      'config/tls-variables.js',
      'config/variables.js',
      'version.js',
    ],
  ],
])('%s loads nothing of the server', async (option, packages, files) => {
  const folder = await temporaryFolder();

  await run([option], { NODE_V8_COVERAGE: folder });

  const reports = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const loaded = reports.flatMap((report) => (JSON.parse(report) as { result: { url: string }[] }).result);
  const matches = (pattern: RegExp) => new Set(loaded.flatMap(({ url }) => pattern.exec(url)?.[1] ?? []));
  expect([...matches(/\/node_modules\/((?:@[^/]+\/)?[^/]+)/)].sort()).toEqual(packages);
  expect([...matches(/\/dist\/(?!.*\/node_modules\/)(.+)$/)].sort()).toEqual(files);
});

test.each(['--dmeo', 'demo', '--demo=yes', '--demo REDIS_URL=redis://:sixteen-letters!@redis'])(
  'refuses "%s" with one sentence, which repeats no argument',
  async (args) => {
    expect(await run(args.split(' '), { ZITADEL_URL })).toEqual({
      exitCode: 2,
      stdout: '',
      stderr: 'Unknown argument: contact-phone-subgraph takes --demo, --help or --version, and nothing else.\n',
    });
  },
);

test('--demo starts the demo, which answers the curl of the README', async () => {
  await using demo = startChild([cli, '--demo'], { PORT: '0', ZITADEL_API: process.env['TEST_ZITADEL_API'] });
  const [, url = ''] = await demo.printed(/The subgraph is at (\S+),/);
  const readme = readFileSync('README.md', 'utf8');
  const [, token = ''] = /-H 'Authorization: Bearer (.*?)'/.exec(readme) ?? [];
  const [, body = ''] = /-d '(.*?)'\n/.exec(readme) ?? [];

  const { data, errors }: GraphQLAnswer = await post(url, body, bearer(token));

  expect(errors).toBeUndefined();
  expect(data?.resendContactPhoneCode?.verificationCode).toMatch(/^[A-Z0-9]{6}$/);
  demo.kill('SIGTERM');
  expect(await demo.exited).toBe(0);
});

test('without an argument, it is the server itself, so that signals reach it', async () => {
  await using production = await openProduction({}, [cli]);
  const { server, url } = production;

  expect((await resend(url)).errors).toBeUndefined();
  server.kill('SIGTERM');

  expect(await server.exited).toBe(0);
  expect(new Set(linesOf(server).map(({ pid }) => pid))).toEqual(new Set([server.pid]));
});

test('.env.example lists every variable, what it means and its default, and sets only ZITADEL_URL', () => {
  const rows = [...example.matchAll(/^# (.*)\n#?([A-Z_]+)=/gm)].map(([, meaning, name]) => [name, meaning]);

  expect(rows).toEqual(meanings);
  expect(parseEnv(example)).toEqual({ ZITADEL_URL });
  const all = parseEnv(example.replace(/^#(?=[A-Z_]+=)/gm, '')) as Record<string, string>;
  expect(Object.keys(all).sort()).toEqual(names.toSorted());
  expectDefaults(Object.fromEntries(Object.entries(all).filter(([, value]) => value !== '')));
});

test('the server starts with a copy of .env.example', async () => {
  await using zitadel = await startEmbeddedZitadel();
  const file = join(await temporaryFolder(), '.env');
  await writeFile(file, example.replace(ZITADEL_URL, zitadel.url));

  await using server = startChild([`--env-file=${file}`, main], { HOST: '127.0.0.1', PORT: '0' });
  const [, url = ''] = await server.printed(listening);

  expect((await resend(url)).errors).toBeUndefined();
});
