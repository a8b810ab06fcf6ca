import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { GraphQLError } from 'graphql';
import ts from 'typescript';
import { expect, onTestFinished, test } from 'vitest';
import { contactPhoneFailure, errors } from '../src/errors.js';
import { users } from '../src/embedded-zitadel/population.js';
import { startChild } from './support/child.js';
import { blocks } from './support/markdown.js';
import { openStage } from './support/stage.js';

// src/errors.ts is the one file that a frontend copies.

const run = promisify(execFile);

/** As strict as a frontend may be, and without Node's types. */
const tsconfig = {
  compilerOptions: {
    target: 'ES2022',
    lib: ['ES2022', 'DOM'],
    types: [],
    module: 'ESNext',
    moduleResolution: 'bundler',
    noEmit: true,
    strict: true,
    isolatedModules: true,
    verbatimModuleSyntax: true,
    erasableSyntaxOnly: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    noPropertyAccessFromIndexSignature: true,
    noImplicitReturns: true,
    noUnusedLocals: true,
    noUnusedParameters: true,
  },
  include: ['*.ts'],
};

test('the command of docs/errors.md extracts it from the tarball of a release, and it compiles on its own in a strict frontend', async () => {
  const page = await readFile('docs/errors.md', 'utf8');
  const folder = await mkdtemp(join(tmpdir(), 'contact-phone-frontend-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder]);
  const before = await readdir(folder);
  const [command = ''] = blocks(page, 'sh');

  await run('sh', ['-euc', command], { cwd: folder });

  expect((await readdir(folder)).sort()).toEqual([...before, 'errors.ts'].sort());
  const source = await readFile(join(folder, 'errors.ts'), 'utf8');
  expect(source).toBe(await readFile('src/errors.ts', 'utf8'));
  expect(ts.preProcessFile(source).importedFiles).toEqual([]);
  const files = {
    'tsconfig.json': JSON.stringify(tsconfig),
    'text-of.ts': blocks(page, 'ts')[0],
    'text-for.ts': blocks(page, 'ts')[1],
    // Each of these must be refused.
    'wrong-code.ts':
      "import { contactPhoneFailure } from './errors';\nexport const is = contactPhoneFailure(1).code === 'NO_CODE';",
    'wrong-reason.ts':
      "import type { ErrorReason } from './errors';\nexport const reason: ErrorReason<'FORBIDDEN'> = 'NO_PHONE';",
  };
  for (const [name, content = ''] of Object.entries(files)) await writeFile(join(folder, name), content);
  await using compiler = startChild(['node_modules/typescript/bin/tsc', '--project', folder]);
  expect(await compiler.exited).not.toBe(0);
  const mistakes = [...compiler.output.stdout.matchAll(/([\w-]+\.ts)\(\d+,\d+\): error/g)].map(([, file]) => file);
  expect(mistakes, compiler.output.stdout).toEqual(['wrong-code.ts', 'wrong-reason.ts']);
});

const limited = {
  message: 'Too many SMS have been sent to this user. Try again later.',
  path: ['resendContactPhoneCode'],
  extensions: { code: 'RATE_LIMITED', reason: 'SMS_TO_USER', outcome: 'NOT_DONE', retryAfter: 20 },
};
const ofRouter = {
  message: 'HTTP fetch failed',
  extensions: { code: 'SUBREQUEST_HTTP_ERROR', service: 'contact-phone' },
};
const withErrors = (more: object) => Object.assign(new Error('It failed'), more);

test.for<[string, unknown]>([
  ['an error of Apollo Client 4', withErrors({ name: 'CombinedGraphQLErrors', errors: [limited], data: null })],
  ['an error of Apollo Client 3', withErrors({ graphQLErrors: [limited], clientErrors: [], networkError: null })],
  ['an error of urql', withErrors({ graphQLErrors: [limited], networkError: undefined, response: { status: 200 } })],
  ['an error of Relay', withErrors({ source: { errors: [limited], operation: {}, variables: {} } })],
  ['an error of graphql-request', withErrors({ response: { errors: [limited], status: 200 }, request: {} })],
  ['a GraphQLError', new GraphQLError(limited.message, { extensions: limited.extensions })],
  ['one error of a response', limited],
  ['the errors that Relay gives to onCompleted', [limited]],
  ['a response', { data: { resendContactPhoneCode: null }, errors: [limited] }],
  ["a response with a router's own error first", { errors: [ofRouter, null, limited] }],
])('finds the failure in %s', ([, error]) => {
  expect(contactPhoneFailure(error)).toEqual({
    code: 'RATE_LIMITED',
    reason: 'SMS_TO_USER',
    outcome: 'NOT_DONE',
    retryAfter: 20,
    attemptsLeft: undefined,
    text: errors.RATE_LIMITED.reasons.SMS_TO_USER,
  });
});

const hostile = (extensions: unknown) => ({ errors: [{ message: '', extensions }] });

test.for<[string, unknown]>([
  ["a router's own error", { errors: [ofRouter] }],
  ['a lost connection', new TypeError('Failed to fetch')],
  ['a lost connection in urql', withErrors({ graphQLErrors: [], networkError: new TypeError('Failed to fetch') })],
  ['an answer that is not JSON', withErrors({ name: 'ServerParseError', statusCode: 502, bodyText: '<html>' })],
  ['no errors', { data: { contactPhone: null }, errors: [] }],
  ['errors that are not a list', { errors: { 0: limited } }],
  ['null', null],
  ['undefined', undefined],
  ['a string', 'RATE_LIMITED'],
  ['a number', 429],
  ['extensions that are null', hostile(null)],
  ['extensions that are a string', hostile('RATE_LIMITED')],
  ...['__proto__', 'toString', 'constructor', 'hasOwnProperty', '', 'rate_limited', 7, null, ['RATE_LIMITED'], {}].map(
    (code): [string, unknown] => [`the code ${JSON.stringify(code)}`, hostile({ code, outcome: 'DONE' })],
  ),
])('returns UNKNOWN for %s', ([, error]) => {
  expect(contactPhoneFailure(error)).toEqual({
    code: 'UNKNOWN',
    outcome: 'UNKNOWN',
    text: 'No usable answer arrived. Check the phone before you try again.',
  });
});

test('has a text for every code and every reason', () => {
  for (const [code, { text, reasons }] of Object.entries(errors)) {
    expect(contactPhoneFailure(hostile({ code, outcome: 'NOT_DONE' }))).toMatchObject({ code, text });
    for (const [reason, ofReason] of Object.entries(reasons)) {
      expect(contactPhoneFailure(hostile({ code, reason }))).toMatchObject({ code, reason, text: ofReason });
    }
  }
});

test.for(['__proto__', 'toString', 'A_REASON_OF_A_NEWER_SERVER', 7, null, undefined])(
  'uses the text of the code if the reason is %s',
  (reason) => {
    const failure = contactPhoneFailure(hostile({ code: 'FORBIDDEN', reason, outcome: 'NOT_DONE' }));

    expect(failure).toEqual({ code: 'FORBIDDEN', outcome: 'NOT_DONE', text: errors.FORBIDDEN.text });
  },
);

test('returns the outcome UNKNOWN if an error with a known code has no outcome', () => {
  // Some routers and gateways have codes in common with this server.
  const failure = contactPhoneFailure({ errors: [{ message: '', extensions: { code: 'INTERNAL_SERVER_ERROR' } }] });

  expect(failure).toMatchObject({ code: 'INTERNAL_SERVER_ERROR', outcome: 'UNKNOWN' });
});

test.for([null, '', 'done', 'AN_OUTCOME_OF_A_NEWER_SERVER', {}, true])(
  'does not know whether anything was done if the outcome is %s',
  (outcome) => {
    expect(contactPhoneFailure(hostile({ code: 'NOT_FOUND', outcome }))).toMatchObject({ outcome: 'UNKNOWN' });
  },
);

test('reads what the server answers', async () => {
  await using stage = await openStage({ SMS_LIMITS: '1/1h', VERIFY_LIMIT: '5/10m' });
  const { userId } = users.unverified;
  await stage.resend();

  const again = contactPhoneFailure(await stage.resend());
  const wrong = contactPhoneFailure(await stage.run('verify-contact-phone', { userId, verificationCode: 'WRONG1' }));
  stage.zitadel.misbehaveWhenWriting({ reset: true });
  const lost = contactPhoneFailure(await stage.run('remove-contact-phone', { userId }));

  expect(again).toMatchObject({ code: 'RATE_LIMITED', reason: 'SMS_TO_USER', outcome: 'NOT_DONE' });
  expect(again.retryAfter).toBeGreaterThan(0);
  expect(wrong).toMatchObject({ code: 'INVALID_VERIFICATION_CODE', outcome: 'NOT_DONE', attemptsLeft: 4 });
  expect(lost).toMatchObject({ code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST', outcome: 'UNKNOWN' });
});
