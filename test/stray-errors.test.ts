import { expect, test } from 'vitest';
import { tokens } from '../src/embedded-zitadel/population.js';
import { summariseError } from '../src/logger.js';
import { startChild } from './support/child.js';
import { gate } from './support/gate.js';
import { linesOf, openProduction } from './support/production.js';
import { refusesConnections } from './support/sockets.js';
import { resend } from './support/stage.js';

/** The production server, with an uncaught error on SIGUSR2. */
const goingWrong = (how: string) => [
  '--input-type=module',
  '--eval',
  `
  import { readConfig } from './dist/config/config.js';
  import { run } from './dist/process.js';
  import { startServer } from './dist/server.js';
  const secrets = ${JSON.stringify({ authorization: `Bearer ${tokens.manager.token}`, phone: '+41791234567' })};
  process.on('SIGUSR2', () => { ${how} });
  await run((output) => startServer(readConfig(process.env), { logTo: output }));`,
];

test.for<[string, string, object]>([
  ['an exception', 'throw new TypeError(`No ${secrets.authorization}, ${secrets.phone}`)', { type: 'TypeError' }],
  ['a rejection', 'Promise.reject(new Error(JSON.stringify(secrets)))', { type: 'Error' }],
  ['a rejection without an error', 'Promise.reject(secrets.authorization)', { type: 'string' }],
  ['an error from JSON.parse', 'JSON.parse(secrets.authorization)', { type: 'SyntaxError' }],
  [
    'an error with a cause',
    'throw new Error("with a cause", { cause: new Error(secrets.phone, { cause: secrets }) })',
    { message: 'with a cause', cause: { message: '…', cause: { type: 'object' } } },
  ],
])('%s that nobody catches is logged without secrets, and shuts the process down in order', async ([, how, err]) => {
  await using production = await openProduction({}, goingWrong(how));
  const { server, zitadel, url } = production;
  const answering = gate();
  zitadel.misbehave({ hold: answering.opened });
  const inFlight = resend(url, { mode: 'RETURN_CODE' });
  await zitadel.called(1);

  server.kill('SIGUSR2');
  await refusesConnections(url);
  // Another one must do no harm.
  server.kill('SIGUSR2');
  await server.printed(/(shutting down[^]*){2}/);
  answering.open();

  expect((await inFlight).data?.resendContactPhoneCode?.verificationCode).toBe(zitadel.codes[0]);
  expect(await server.exited).toBe(1);
  expect(server.output.stderr).toBe('');
  expect(linesOf(server).filter(({ level }) => level === 'fatal')).toMatchObject(
    Array(2).fill({ err, msg: 'Uncaught error outside of any request: shutting down' }),
  );
  expect(server.output.stdout).not.toMatch(/embedded-token|41791234567/);
});

test('an uncaught error after a signal makes the process exit with 1 too', async () => {
  await using production = await openProduction({}, goingWrong('throw new Error("late")'));
  const { server, zitadel, url } = production;
  const answering = gate();
  zitadel.misbehave({ hold: answering.opened });
  const inFlight = resend(url);
  await zitadel.called(1);

  server.kill('SIGTERM');
  await refusesConnections(url);
  server.kill('SIGUSR2');
  await server.printed(/late/);
  answering.open();

  expect((await inFlight).errors).toBeUndefined();
  expect(await server.exited).toBe(1);
});

test('an uncaught error before the start is printed without secrets, and makes the process exit with 1', async () => {
  const script = `
    import { run } from './dist/process.js';
    setInterval(() => {}, 60_000);
    await run(() => new Promise(() => setImmediate(() => { throw Object.assign(new Error('too early'), { url: 'redis://:S3CR3T@localhost' }); })));`;
  await using child = startChild(['--input-type=module', '--eval', script]);

  expect(await child.exited).toBe(1);
  expect(JSON.parse(child.output.stderr)).toMatchObject({ err: { type: 'Error', message: 'too early' } });
  expect(child.output.stderr).not.toContain('S3CR3T');
});

test.for([
  ['Bearer dGhlIHRva2Vu.ZW4-_', '…'],
  ['authorization: "bearer abc", x', 'authorization: "…", x'],
  [`no ${'a1'.repeat(20)}.${'B-'.repeat(20)}`, 'no ….…'],
  ['+41 79 123 45 67 is taken', '… is taken'],
  ['0791234567, (079) 123-45-67', '…, (…'],
  ['user 301000000000000101', 'user 301000000000000101'],
  ['connect ECONNREFUSED 127.0.0.1:46535', 'connect ECONNREFUSED 127.0.0.1:46535'],
  ['Unexpected token \'S\', ..."a":"S3"}" is not valid JSON', 'Unexpected token \'S\', ..."…" is not valid JSON'],
  ['The argument must be a string. Received type number (123456)', 'The argument must be a string. Received …'],
  ['UND_ERR_RES_EXCEEDED_MAX_SIZE', 'UND_ERR_RES_EXCEEDED_MAX_SIZE'],
  ["Cannot read properties of undefined (reading 'x')", "Cannot read properties of undefined (reading 'x')"],
  ['a\r\nb\u001b[2J\u2028', 'a\\u000d\\u000ab\\u001b[2J\\u2028'],
  ['no '.repeat(101), `${'no '.repeat(100)}…`],
] as const)('logs the message %j as %j', ([message, shown]) => {
  const summary = summariseError(new Error(message));

  expect(summary.message).toBe(shown);
  expect(summary.stack).toMatch(/^Error: .*\n {4}at /);
  expect(summary.stack?.split('\n    at ')[0]).toBe(`Error: ${shown}`);
});

test('an error with a circular or endless chain of causes is still one short line', () => {
  const circular = new Error('again');
  circular.cause = circular;
  const many = new AggregateError(Array.from({ length: 5_000 }, () => circular));

  expect(JSON.stringify(summariseError(many)).length).toBeLessThan(50_000);
});

test('a message that looks like a stack adds no lines', () => {
  const { stack } = summariseError(new Error('x\n    at S3CR3T (file.js:1:1)'));

  expect(stack).not.toMatch(/\n.*S3CR3T/);
});

test.for([
  ['an invalid name', { name: 'Bearer S3CR3T' }],
  ['a very long name', { name: 'S3CR3T'.repeat(100) }],
  ['no stack', { stack: undefined }],
])('an error with %s is logged without it', ([, changes]) => {
  const { type, message, stack } = summariseError(Object.assign(new Error('early'), changes));

  expect([type, message]).toEqual(['Error', 'early']);
  expect(stack ?? '').not.toContain('S3CR3T');
});

test('an error whose message was changed keeps its stack, without the old message', () => {
  const later = 'later '.repeat(1_000);
  const { stack } = summariseError(Object.assign(new Error('S3CR3T'), { message: later }));

  expect(stack).toMatch(/^Error: later .*\n {4}at .*stray-errors/);
  expect(stack).not.toContain('S3CR3T');
});
