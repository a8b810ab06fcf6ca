import { expect, test } from 'vitest';
import { openProduction } from './support/production.js';
import { resend } from './support/stage.js';

const lines = 20_000;
/** One mebibyte, plus one line that was written just before it was full. */
const maxWaiting = 1024 * 1024 + 2_000;

/** The production server. On SIGUSR2 it logs 20 MB, and then reports on standard error how much of it is waiting. */
const talkative = `
  import { readConfig } from './dist/config/config.js';
  import { run } from './dist/process.js';
  import { startServer } from './dist/server.js';
  let server;
  process.on('SIGUSR2', () => {
    for (let sent = 0; sent < ${lines}; sent += 1) server.logger.info('x'.repeat(1_000));
    console.error('waiting:', process.stdout.writableLength);
  });
  await run(async (output) => (server = await startServer(readConfig(process.env), { logTo: output })));`;

const open = (env: Record<string, string> = {}) => openProduction(env, ['--input-type=module', '--eval', talkative]);

test.for(['json', 'pretty'] as const)(
  'a stalled reader of standard output delays neither requests nor shutdown, in the format %s',
  async (LOG_FORMAT) => {
    await using production = await open({ LOG_FORMAT, SMS_LIMITS: 'off' });
    const { server, url } = production;
    server.stopReading();

    server.kill('SIGUSR2');
    const [, waiting] = await server.complained(/waiting: (\d+)\n/);
    expect(Number(waiting)).toBeLessThan(maxWaiting);
    for (let times = 0; times < 10; times += 1) expect((await resend(url)).errors).toBeUndefined();

    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
  },
);

test('a reader that resumes learns how many lines were dropped', async () => {
  await using production = await open();
  const { server } = production;
  // This line comes late. It would otherwise be dropped and counted too.
  await server.printed(/ZITADEL is up/);
  server.stopReading();
  server.kill('SIGUSR2');
  await server.complained(/waiting/);

  server.goOnReading();
  const [, dropped] = await server.printed(
    /"lines":(\d+),"msg":"Standard output was not read: log lines were dropped"}\n/,
  );
  server.kill('SIGTERM');

  expect(await server.exited).toBe(0);
  await server.printed(/SIGTERM received/);
  const received = server.output.stdout.match(/"msg":"x{1000}"}\n/g) ?? [];
  expect(Number(dropped)).toBeGreaterThan(0);
  expect(received.length + Number(dropped)).toBe(lines);
});

test('a reader that goes away does not end the process', async () => {
  await using production = await open({ SMS_LIMITS: 'off' });
  const { server, url } = production;

  server.closeOutput();
  for (let times = 0; times < 3; times += 1) expect((await resend(url)).errors).toBeUndefined();
  server.kill('SIGUSR2');
  const [, waiting] = await server.complained(/waiting: (\d+)\n/);
  expect(Number(waiting)).toBeLessThan(maxWaiting);

  server.kill('SIGTERM');
  expect(await server.exited).toBe(0);
});
