import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parse, validate } from 'graphql';
import { expect, onTestFinished, test } from 'vitest';
import { createViteServer } from 'vitest/node';
import { failingUsers } from '../src/embedded-zitadel/failing-users.js';
import { users } from '../src/embedded-zitadel/population.js';
import { contactPhoneFailure } from '../src/errors.js';
import { createSchema } from '../src/graphql/schema.js';
import { startChild } from './support/child.js';
import { blocks, section, table } from './support/markdown.js';
import { runShell } from './support/shell.js';
import { manager, openStage, run, unverified, type OperationData } from './support/stage.js';

const page = readFileSync('docs/frontend.md', 'utf8');

/** The modules of the example app. */
const appFiles = readdirSync('test/clients').filter((file) => /^[^.]+\.tsx?$/.test(file));

/** A module of the app, beside a copy of `src/errors.ts`. */
const asCopied = (source: string) => source.replace('../../src/errors.js', './errors.js');

test('its journey, pasted line by line in front of the demo, works as described', async () => {
  await using demo = startChild(['dist/demo.js'], { PORT: '0', ZITADEL_API: process.env['TEST_ZITADEL_API'] });
  const [, origin = ''] = await demo.printed(/The subgraph is at (http:\/\/127\.0\.0\.1:\d+)\/graphql/);
  const [definition = '', before = '', after = ''] = blocks(section(page, 'The journey with curl'), 'sh');
  const phone = { number: '+41795550103', isVerified: false };

  const answers = [];
  for (const line of before.trim().split('\n')) answers.push(await runShell(definition + line, origin));
  const resent = answers[3]?.data as OperationData['resend-contact-phone-code'];
  const code = resent.resendContactPhoneCode?.verificationCode ?? '';
  for (const line of after.trim().split('\n')) {
    answers.push(await runShell(definition + line.replace('7QK2ZD', code), origin));
  }

  expect(answers).toMatchObject([
    { status: 200, data: { contactPhoneUser: { contactPhone: null } } },
    { data: { setContactPhone: { verificationCode: null, user: { contactPhone: phone } } } },
    { data: { verifyContactPhone: null }, errors: [{ extensions: { code: 'INVALID_VERIFICATION_CODE' } }] },
    { data: { resendContactPhoneCode: { verificationCode: expect.stringMatching(/^[A-Z0-9]{6}$/) as string } } },
    { data: { verifyContactPhone: { user: { contactPhone: { ...phone, isVerified: true } } } } },
    { data: { removeContactPhone: { user: { contactPhone: null } } } },
  ]);
  expect(answers.map(({ errors }) => errors?.length ?? 0)).toEqual([0, 0, 1, 0, 0, 0]);
  await demo.printed(/SMS to \+41795550103: \S+ is your verification code\.\n/);
  const examples = readdirSync('schema/operations').map((file) => file.replace('.graphql', ''));
  const steps = [...(before + after).matchAll(/^run ([a-z-]+) /gm)].map(([, name]) => name);
  expect(new Set(steps)).toEqual(new Set(examples));
});

test('its documents fit the schema', () => {
  const inline = [...page.matchAll(/`(\{ contactPhone[^`]+\})`/g)].map(([, document = '']) => document);

  expect(inline).toHaveLength(1);
  for (const document of inline) expect(validate(createSchema(), parse(document))).toEqual([]);
});

test('its commands start the demo as the README does, and install what the app imports', () => {
  const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
  const { dependencies } = JSON.parse(readFileSync('test/clients/package.json', 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const [demo = '', , install = ''] = blocks(page, 'sh');
  const installed =
    install
      .match(/^npm install .*$/gm)
      ?.join(' ')
      .split(/ (?!--)/) ?? [];

  const withoutClone = `npx ./contact-phone-subgraph-${version}.tgz --demo`;
  expect([demo, page]).toEqual(['npm ci && npm run demo\n', expect.stringContaining(withoutClone)]);
  for (const command of [demo.trim(), withoutClone]) expect(readFileSync('README.md', 'utf8')).toContain(command);
  const unknown = installed.filter(
    (name) => !(name in dependencies) && !/^(npm|install|--save-dev|vite|typescript)/.test(name),
  );
  expect(unknown).toEqual([]);
  const imported = appFiles.flatMap((file) =>
    [...readFileSync(`test/clients/${file}`, 'utf8').matchAll(/from '((?:@[\w-]+\/)?[\w-]+)/g)].map(([, name]) => name),
  );
  expect(installed).toEqual(expect.arrayContaining(imported));
});

test('shows the code of the app as it is', () => {
  const sources = appFiles.map((file) => asCopied(readFileSync(`test/clients/${file}`, 'utf8')));
  const shown = ['The client', 'The screen'].flatMap((heading) =>
    ['ts', 'tsx'].flatMap((language) => blocks(section(page, heading), language)),
  );

  expect(shown.length).toBeGreaterThan(4);
  for (const block of shown) expect(sources.some((source) => source.includes(block))).toBe(true);
});

test('repeats queries exactly as the stories of Apollo Client do', () => {
  const [shown = ''] = blocks(section(page, 'When an answer is lost'), 'ts');
  const withoutFormat = (code: string) => code.replace(/\s|,(?=\s*[)}])/g, '');
  const [link = ''] = /new RetryLink\(\{.*?\}\);/s.exec(shown) ?? [];

  expect(link).not.toBe('');
  expect(withoutFormat(readFileSync('test/clients/apollo.test.ts', 'utf8'))).toContain(withoutFormat(link));
});

test('its app, copied as it says, compiles, and so do its other blocks', async () => {
  const app = mkdtempSync(join(tmpdir(), 'contact-phone-app-'));
  onTestFinished(() => rmSync(app, { recursive: true }));
  const [, copy = ''] = blocks(page, 'sh');

  execFileSync('sh', ['-euc', copy.replace('../phone-app', relative('.', app))]);

  expect(readdirSync(app).sort()).toEqual([...appFiles, 'errors.ts', 'index.html', 'phone-screen.css'].sort());
  writeFileSync(join(app, 'retry.ts'), blocks(section(page, 'When an answer is lost'), 'ts').join(''));
  symlinkSync(resolve('test/clients/node_modules'), join(app, 'node_modules'));
  const options = ['--ignoreConfig', '--noEmit', '--strict', '--skipLibCheck', '--jsx', 'react-jsx'];
  await using compiler = startChild(
    [
      resolve('node_modules/typescript/bin/tsc'),
      ...[...options, '--module', 'esnext', '--moduleResolution', 'bundler', '--lib', 'es2023,dom'],
      ...['main.tsx', 'retry.ts'],
    ],
    {},
    process.execPath,
    app,
  );
  expect([await compiler.exited, compiler.output.stdout]).toEqual([0, '']);
  // Vite needs no configuration to compile it.
  const vite = await createViteServer({
    configFile: false,
    root: app,
    cacheDir: join(app, 'cache'),
    optimizeDeps: { noDiscovery: true },
    logLevel: 'warn',
    server: { middlewareMode: true, hmr: false, watch: null },
  });
  onTestFinished(() => vite.close());
  expect((await vite.transformRequest('/main.tsx'))?.code).toContain('jsxDEV(');
});

test('its client of urql reads a phone', async () => {
  await using stage = await openStage();
  const folder = mkdtempSync(join(tmpdir(), 'contact-phone-urql-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  symlinkSync(resolve('test/clients/node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'client.mjs'), blocks(page, 'js').join(''));
  const query = readFileSync('schema/operations/contact-phone.graphql', 'utf8');
  const script = `
    import { createClient } from './client.mjs';
    const client = createClient(${JSON.stringify(stage.graphql)}, ${JSON.stringify(manager)});
    const { data, error } = await client.query(${JSON.stringify(query)}, { userId: '${unverified}' });
    console.log(error?.message ?? data.contactPhoneUser.contactPhone.number);`;

  await using frontend = startChild(['--input-type=module', '--eval', script], {}, process.execPath, folder);

  expect([await frontend.exited, frontend.output]).toEqual([0, { stdout: '+41791234567\n', stderr: '' }]);
});

test('its table shows how a resend fails for each failing user of the demo', async () => {
  await using demo = startChild(['dist/demo.js'], { PORT: '0', ZITADEL_TIMEOUT_MS: '1000' });
  const [, graphql = ''] = await demo.printed(/The subgraph is at (\S+\/graphql)/);
  const rows = table(page, 'Each error on the screen');

  const answers = await Promise.all(
    rows.map(([userId = '']) => run(graphql, 'resend-contact-phone-code', { userId }).then(contactPhoneFailure)),
  );

  const failing = [...Object.values(failingUsers), users.uninitialised];
  expect(rows.map(([userId]) => userId)).toEqual(failing.map(({ userId }) => userId));
  expect(answers.map(({ code, outcome }) => [code, outcome])).toEqual(rows.map((row) => row.slice(2)));
});
