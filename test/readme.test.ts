import { execFileSync } from 'node:child_process';
import { readFileSync, readdirSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSchema, parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { environment } from '../src/config.js';
import { errors } from '../src/errors.js';
import { maxDepth, maxDirectives, maxNameLength } from '../src/graphql/documents.js';
import { maxRepresentations } from '../src/graphql/query-cost.js';
import { startChild } from './support/child.js';
import { extensionKeys, zitadelKeys } from './support/extensions.js';
import { openSocket } from './support/sockets.js';
import { openStage, post, unverified, type GraphQLAnswer, type OperationData } from './support/stage.js';
import { supergraphSdl } from './gateways/supergraph.js';
import { roverYaml } from './support/rover.js';

const readme = readFileSync('README.md', 'utf8');
const errorsPage = readFileSync('docs/errors.md', 'utf8');
const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  name: string;
  scripts: Record<string, string>;
  dependencies: Record<string, string>;
};

/** The rows of the table under a heading, as lists of cells without backquotes. */
const table = (heading: string, page = readme) => {
  const section = page.split(/^## /m).find((text) => text.startsWith(`${heading}\n`)) ?? '';
  const rows = section.split('\n').filter((line) => line.startsWith('| `'));
  return rows.map((row) =>
    row
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
};

const curls = (text: string) => text.match(/^curl (?:.*\\\n)*.*$/gm) ?? [];

/** Runs these commands in `sh`, with a substitute for curl, so that it works without curl. */
const runShell = (commands: string, origin: string): Promise<GraphQLAnswer<object>> => {
  const given = execFileSync('sh', ['-euc', `curl() { printf '%s\\0' "$@"; }\n${commands}`], { encoding: 'utf8' });
  const [url = '', ...options] = given.split('\0');
  const valuesOf = (option: string) => options.filter((_, index) => options[index - 1] === option);
  const headers = valuesOf('-H').map((header) => {
    const [, name = '', value = ''] = /^([\w-]+): (.+)$/.exec(header) ?? [];
    return [name.toLowerCase(), value];
  });
  return post(
    origin + new URL(url).pathname,
    valuesOf('-d').join('&'),
    Object.fromEntries(headers) as Record<string, string>,
  );
};

test('the demo prints the curl of the README, which answers with details and a code, and each SMS', async () => {
  await using demo = startChild(['dist/demo.js'], { PORT: '0', ZITADEL_API: process.env['TEST_ZITADEL_API'] });
  const [, origin = ''] = await demo.printed(/The subgraph is at (http:\/\/127\.0\.0\.1:\d+)\/graphql/);
  await demo.printed(/-d '.*'\n/);

  const [command = '', ...others] = curls(readme);
  expect(others).toEqual([]);
  expect(curls(demo.output.stdout)).toEqual([command.replace('http://127.0.0.1:4001', origin)]);

  const answer = await runShell(command, origin);
  expect(answer.errors).toBeUndefined();
  const printed = JSON.parse(/^```json\n(.*?)^```/ms.exec(readme)?.[1] ?? '') as { data: object };
  expect(shape(answer.data)).toEqual(shape(printed.data));

  const introspection = await post(`${origin}/graphql`, { query: '{ __schema { queryType { name } } }' });
  expect(introspection.errors).toBeUndefined();
  // It must listen only on 127.0.0.1, because its tokens are public.
  await expect(openSocket(origin.replace('127.0.0.1', '127.0.0.2'))).rejects.toThrow();

  await runShell(command.replace(', mode: RETURN_CODE', ''), origin);
  const [, code] = await demo.printed(/SMS to \+41791234567: (\S+) is your verification code\.\n/);
  expect(code).toMatch(/^[A-Z0-9]{6}$/);

  const [, demoLimits] = /`SMS_LIMITS`.*the demo: `(.*?)`/.exec(readme) ?? [];
  expect(demo.output.stdout).toContain(`as often as SMS_LIMITS=${demoLimits} allows`);
  for (let times = 2; times <= 5; times += 1) {
    expect((await runShell(command.replace(', mode: RETURN_CODE', ''), origin)).errors).toBeUndefined();
  }
  const refused = await runShell(command.replace(', mode: RETURN_CODE', ''), origin);
  expect(refused.errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);

  expect(demo.output.stdout).not.toContain('"level"');

  demo.kill('SIGINT');
  expect(await demo.exited).toBe(0);
  expect(demo.output.stderr).toBe('');
});

test('its journey, pasted line by line in front of the demo, works as described', async () => {
  await using demo = startChild(['dist/demo.js'], { PORT: '0', ZITADEL_API: process.env['TEST_ZITADEL_API'] });
  const [, origin = ''] = await demo.printed(/The subgraph is at (http:\/\/127\.0\.0\.1:\d+)\/graphql/);
  const [, journey = ''] = /^### The whole journey\n(.*?)^## /ms.exec(readme) ?? [];
  const [definition = '', ...blocks] = [...journey.matchAll(/^```sh\n(.*?)^```/gms)].map(
    ([, commands = '']) => commands,
  );
  const [before, after] = blocks.map((commands) => commands.trim().split('\n'));
  const phone = { number: '+41795550103', isVerified: false };

  const answers = [];
  for (const line of before ?? []) answers.push(await runShell(definition + line, origin));
  const resent = answers[3]?.data as OperationData['resend-contact-phone-code'];
  const code = resent.resendContactPhoneCode?.verificationCode ?? '';
  for (const line of after ?? []) answers.push(await runShell(definition + line.replace('7QK2ZD', code), origin));

  expect(answers).toMatchObject([
    { status: 200, data: { contactPhone: null } },
    { data: { setContactPhone: { verificationCode: null, user: { contactPhone: phone } } } },
    { data: { verifyContactPhone: null }, errors: [{ extensions: { code: 'INVALID_VERIFICATION_CODE' } }] },
    { data: { resendContactPhoneCode: { verificationCode: expect.stringMatching(/^[A-Z0-9]{6}$/) as string } } },
    { data: { verifyContactPhone: { user: { contactPhone: { ...phone, isVerified: true } } } } },
    { data: { removeContactPhone: { user: { contactPhone: null } } } },
  ]);
  expect(answers.map(({ errors }) => errors?.length ?? 0)).toEqual([0, 0, 1, 0, 0, 0]);
  await demo.printed(/SMS to \+41795550103: \S+ is your verification code\.\n/);
  const examples = readdirSync('schema/operations').map((file) => file.replace('.graphql', ''));
  const run = [...blocks.join('').matchAll(/^run ([a-z-]+) /gm)].map(([, name]) => name);
  expect(new Set(run)).toEqual(new Set(examples));
});

test('its table of variables matches the configuration', () => {
  const { data = {} } = environment.safeParse({ ZITADEL_URL: 'https://example.com' });
  const defaults: Record<string, unknown> = {
    ...data,
    ZITADEL_URL: '(required)',
    CORS_ORIGINS: '(none)',
    ZITADEL_INSTANCE_HOST: '(none)',
    ROUTER_SECRETS: '(none)',
    PHONE_HASH_KEY: '(none)',
    SMS_LIMITS_PER_NUMBER: '(as SMS_LIMITS)',
    SMS_COUNTRIES: '(all)',
    REDIS_URL: '(none)',
    METRICS_PORT: '(none)',
    OTEL_EXPORTER_OTLP_ENDPOINT: '(none)',
  };
  const limits = ['SMS_LIMITS', 'SMS_BUDGET', 'VERIFY_LIMIT'];

  const rows = table('Run it').map(([name = '', value]) => [name, value]);

  expect(rows.map(([name]) => name)).toEqual(Object.keys(environment.shape));
  // Parse limits before comparing them.
  const { data: read } = environment.safeParse({
    ZITADEL_URL: 'https://example.com',
    ...Object.fromEntries(rows.filter(([name = '']) => limits.includes(name))),
  });
  expect(read).toEqual(data);
  expect(Object.fromEntries(rows.filter(([name = '']) => !limits.includes(name)))).toEqual(
    Object.fromEntries(
      Object.entries(defaults)
        .filter(([name]) => !limits.includes(name))
        .map(([name, value]) => [name, String(value)]),
    ),
  );
});

test('its table of error codes, and that of docs/errors.md with their reasons and texts, match the closed lists', () => {
  const all = Object.entries(errors).flatMap(([code, { text, reasons }]) => [
    [code, '', text],
    ...Object.entries(reasons).map(([reason, ofReason]) => [code, reason, ofReason]),
  ]);

  expect(table('Errors').map(([code]) => code)).toEqual(Object.keys(errors));
  expect(table('Codes and reasons', errorsPage).map((row) => row.slice(0, 3))).toEqual(all);
  for (const advice of table('Codes and reasons', errorsPage).map((row) => row[3])) expect(advice).not.toBe('');
});

test('docs/errors.md names every key of the extensions of an error', () => {
  const rows = [...(errorsPage.split('## Was it done?')[0]?.matchAll(/^\| `(\w+)` .*$/gm) ?? [])];

  expect(rows.map(([, key]) => key)).toEqual(extensionKeys);
  const ofZitadel = rows.find(([, key]) => key === 'zitadel')?.[0] ?? '';
  expect([...ofZitadel.matchAll(/`(\w+)`/g)].slice(1).map(([, key]) => key)).toEqual(zitadelKeys);
});

test('the example of docs/errors.md is what a client gets', async () => {
  await using stage = await openStage();

  const { errors } = await stage.resend({ userId: '999999999999999999' });

  expect(errors).toEqual([JSON.parse(/^```json\n(.*?)^```/ms.exec(errorsPage)?.[1] ?? '')]);
});

test('its table of metrics matches the served ones', async () => {
  await using stage = await openStage({ SMS_LIMITS: '' });
  stage.zitadel.misbehaveWhenWriting({ reset: true });
  await stage.resend();
  await stage.resend();
  await stage.run('contact-phone', { userId: unverified });
  const text = await (await fetch(stage.metricsUrl)).text();

  const served = [...text.matchAll(/^# TYPE (contact_phone_\w+)/gm)].map(([, name = '']) => {
    const labels = [...text.matchAll(new RegExp(`^${name}(?:_sum)?\\{(.*)\\}`, 'gm'))].map(([, pairs = '']) =>
      pairs.replace(/="[^"]*"/g, '').replaceAll(',', ', '),
    );
    return [name, labels[0] ?? ''];
  });
  expect(table('In production').map(([name, labels]) => [name, labels])).toEqual(served);
});

test('its limits for requests match the code', () => {
  const limits = [maxDepth, maxDirectives, maxNameLength, maxRepresentations];

  expect(readme.replaceAll('\n', ' ')).toMatch(
    new RegExp(
      'at most # levels and # directives, with names of at most # characters, for at most # representations'
        .replaceAll('#', () => String(limits.shift()))
        .replaceAll(' ', ' +'),
    ),
  );
});

test('its table of parts names every production dependency', () => {
  const parts = readme.split('\n').flatMap((line) => /^\| ([^`|]+) \|/.exec(line)?.[1]?.trim().split(', ') ?? []);

  expect(parts).toEqual(expect.arrayContaining(Object.keys(manifest.dependencies)));
});

test('its settings for routers forward two headers, send the secret, and pass the whole error through', () => {
  const blocks = [...readme.matchAll(/^\*\*(.*? Router)\*\*, .*?^```yaml\n(.*?)^```/gms)];
  expect(blocks.map(([, router]) => router)).toEqual(['Apollo Router', 'Hive Router', 'Cosmo Router']);
  for (const [, , yaml = ''] of blocks) {
    const { headers } = parseYaml(yaml) as { headers: { subgraphs: Record<string, { request: object[] }> } };
    expect(Object.keys(headers.subgraphs)).toEqual(Object.keys(roverYaml.subgraphs));
    const rules = JSON.stringify(headers.subgraphs['contact-phone']?.request);
    expect(rules).toMatch(/propagate.*authorization.*accept-language.*x-router-secret.*ROUTER_SECRET/i);
  }
  const [apollo, hive, cosmo] = blocks.map(([, , yaml = '']) => parseYaml(yaml) as object);
  expect(apollo).toMatchObject({ include_subgraph_errors: { subgraphs: { 'contact-phone': true } } });
  expect(hive).toMatchObject({ error_masking: { subgraphs: { 'contact-phone': { enabled: false } } } });
  expect(cosmo).toMatchObject({
    subgraph_error_propagation: {
      mode: 'pass-through',
      allowed_extension_fields: extensionKeys,
    },
  });
});

test('its GraphQL is valid in a supergraph with users', () => {
  const supergraph = buildSchema(supergraphSdl(), { assumeValidSDL: true });
  const inline = [...readme.matchAll(/`(\{[^`]+\})`/g)].map(([, document = '']) => document);
  const blocks = [...readme.matchAll(/^```graphql\n(.*?)^```/gms)].map(([, document = '']) => document);

  expect([inline.length, blocks.length]).toEqual([1, 2]);
  expect(blocks).toContain(readFileSync('schema/operations/set-contact-phone.graphql', 'utf8'));
  for (const document of [...inline, ...blocks]) expect(validate(supergraph, parse(document))).toEqual([]);
});

test('its commands exist', () => {
  const scripts = [...readme.matchAll(/npm run ([\w:-]+)/g)].map(([, script = '']) => script);

  expect(scripts.length).toBeGreaterThan(3);
  expect(Object.keys(manifest.scripts)).toEqual(expect.arrayContaining(scripts));
});

test('a client in TypeScript can import the type of the errors and narrow on the code', async () => {
  const client = await mkdtemp(join(tmpdir(), 'contact-phone-client-'));
  await mkdir(join(client, 'node_modules'));
  await symlink(process.cwd(), join(client, 'node_modules', manifest.name));
  const importOfReadme = /import type .*? from '.*?'/.exec(readme)?.[0] ?? '';
  const narrow = (field: string) =>
    `${importOfReadme};
    export const wait = (error: ErrorExtensions) => (error.code === 'RATE_LIMITED' ? (error.${field} ?? 1) : undefined);`;
  await writeFile(join(client, 'right.mts'), narrow('retryAfter'));
  await writeFile(join(client, 'wrong.mts'), narrow('retryAfterwards'));

  const options = ['--ignoreConfig', '--noEmit', '--strict', '--module', 'nodenext'];
  const files = ['right.mts', 'wrong.mts'].map((file) => join(client, file));
  await using compiler = startChild(['node_modules/typescript/bin/tsc', ...options, ...files]);

  expect(await compiler.exited).not.toBe(0);
  expect(compiler.output.stdout).toMatch(/^\S*wrong\.mts\(2,\d+\): error .*retryAfterwards.*\n$/);
  await rm(client, { recursive: true });
});

/** The same object, with all digits replaced by 0 and codes by their length. */
function shape(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, inner: unknown) => {
    if (typeof inner !== 'string') return inner;
    return key === 'verificationCode' ? inner.length : inner.replace(/\d/g, '0');
  });
}
