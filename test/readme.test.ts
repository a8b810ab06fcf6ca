import { readFileSync } from 'node:fs';
import { buildSchema, parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { supergraphSdl } from './gateways/supergraph.js';
import { startChild } from './support/child.js';
import { blocks, table } from './support/markdown.js';
import { curls, runShell } from './support/shell.js';
import { openSocket } from './support/sockets.js';
import { openStage, post } from './support/stage.js';

const readme = readFileSync('README.md', 'utf8');
const [firstAnswer = '', refusal = ''] = blocks(readme, 'json');

test('is short', () => {
  expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(150);
});

test('the demo answers the curl of the README with details and a code, and prints each SMS', async () => {
  await using demo = startChild(['dist/demo.js'], { PORT: '0', ZITADEL_API: process.env['TEST_ZITADEL_API'] });
  const [, origin = ''] = await demo.printed(/The subgraph is at (http:\/\/127\.0\.0\.1:\d+)\/graphql/);

  const [command = '', ...others] = curls(readme);
  expect(others).toEqual([]);

  const answer = await runShell(command, origin);
  expect(answer.errors).toBeUndefined();
  expect(shape(answer.data)).toEqual(shape((JSON.parse(firstAnswer) as { data: object }).data));

  const introspection = await post(`${origin}/graphql`, { query: '{ __schema { queryType { name } } }' });
  expect(introspection.errors).toBeUndefined();
  // It must listen only on 127.0.0.1, because its tokens are public.
  await expect(openSocket(origin.replace('127.0.0.1', '127.0.0.2'))).rejects.toThrow();

  const sendCode = command.replace(', mode: RETURN_CODE', '');
  await runShell(sendCode, origin);
  const [, code] = await demo.printed(/SMS to \+41791234567: (\S+) is your verification code\.\n/);
  expect(code).toMatch(/^[A-Z0-9]{6}$/);

  const [, demoLimit] = /as often as SMS_LIMITS=(\d+)\/\S+ allows/.exec(demo.output.stdout) ?? [];
  for (let times = 2; times <= Number(demoLimit); times += 1) {
    expect((await runShell(sendCode, origin)).errors).toBeUndefined();
  }
  const refused = await runShell(sendCode, origin);
  expect(refused.errors).toMatchObject([{ extensions: { code: 'RATE_LIMITED' } }]);

  expect(demo.output.stdout).not.toContain('"level"');

  demo.kill('SIGINT');
  expect(await demo.exited).toBe(0);
  expect(demo.output.stderr).toBe('');
});

test('its table of variables agrees with docs/configuration.md', () => {
  const all = readFileSync('docs/configuration.md', 'utf8');
  const rows = table(readme, 'Run it with your ZITADEL');

  expect(rows).toHaveLength(10);
  for (const [name = '', value = ''] of rows) expect(all).toMatch(row(name, value));
});

test('its refusal is what a caller gets who requests a second SMS at once', async () => {
  await using stage = await openStage({ SMS_LIMITS: '' });
  await stage.resend();

  const { errors } = await stage.resend();

  expect(errors?.map(shape)).toEqual([shape(JSON.parse(refusal))]);
});

test('its query fits a supergraph with users', () => {
  const supergraph = buildSchema(supergraphSdl(), { assumeValidSDL: true });
  const documents = blocks(readme, 'graphql');

  expect(documents).toHaveLength(1);
  for (const document of documents) expect(validate(supergraph, parse(document))).toEqual([]);
});

/** The row of a table that begins with this variable and this default. */
function row(name: string, value: string): RegExp {
  const code = value.startsWith('(') ? value.replace(/[()]/g, '\\$&') : `\`${value}\``;
  return new RegExp(`^\\| \`${name}\` +\\| ${code} +\\|`, 'm');
}

/** The same object, with all digits replaced by 0 and codes by their length. */
function shape(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value), (key, inner: unknown) => {
    if (key === 'retryAfter') return typeof inner;
    if (typeof inner !== 'string') return inner;
    return key === 'verificationCode' ? inner.length : inner.replace(/\d/g, '0');
  });
}
