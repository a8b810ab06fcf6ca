import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { startChild } from './support/child.js';
import { gate } from './support/gate.js';
import { linesOf, listening, main, openProduction } from './support/production.js';
import { openSocket, refusesConnections } from './support/sockets.js';
import { manager, post, resend } from './support/stage.js';

test('reports everything that is wrong with the environment at once, and exits with 1', async () => {
  await using server = startChild([main], {
    ZITADEL_INSTANCE_HOST: 'https://example.com',
    ZITADEL_API: 'soap',
    ZITADEL_TIMEOUT_MS: '10s',
    SMS_COUNTRIES: 'Switzerland',
    SMS_NUMBER_TYPES: 'MOBILE,LANDLINE',
    SMS_LIMITS: 'none',
    SMS_LIMITS_PER_NUMBER: '1/30s,1/10m',
    SMS_BUDGET: '1000/1h,5000/1d',
    VERIFY_LIMIT: '5',
    PHONE_HASH_KEY: 'S3CR3T',
    REDIS_PREFIX: '{S3CR3T}',
    REDIS_URL: 'redis:S3CR3T@localhost',
    PORT: 'abc',
    CORS_ORIGINS: 'example.com',
    ROUTER_SECRETS: 'S3CR3T',
    INTROSPECTION: 'yes',
    LOG_LEVEL: 'loud',
    BODY_LIMIT: '1MiB',
    KEEP_ALIVE_TIMEOUT_MS: '620s',
    PLAYGROUND: 'on',
    LOG_FORMAT: 'xml',
    METRICS_PORT: '/metrics',
    SHUTDOWN_DELAY_MS: '5s',
    SHUTDOWN_TIMEOUT_MS: '0',
  });

  expect(await server.exited).toBe(1);
  expect(server.output).toEqual({
    stdout: '',
    stderr: `Invalid configuration:
  ZITADEL_URL is required: the base URL of ZITADEL, such as https://example.zitadel.cloud
  ZITADEL_INSTANCE_HOST must be a host name, such as example.zitadel.cloud
  ZITADEL_API must be rest or connect
  ZITADEL_TIMEOUT_MS must be a whole number from 1 to 300000
  SMS_COUNTRIES must be a comma-separated list of two-letter country codes such as CH,DE,AT, or 001 for no country: entry 1 is wrong
  SMS_NUMBER_TYPES must be a comma-separated list of types out of MOBILE, FIXED_LINE_OR_MOBILE, FIXED_LINE, VOIP, PERSONAL_NUMBER, TOLL_FREE, SHARED_COST, PREMIUM_RATE, PAGER, UAN, VOICEMAIL, UNKNOWN: LANDLINE is wrong
  SMS_LIMITS must be off or limits such as 1/30s,5/10m,20/24h, where each longer one allows more (count at most 100, duration at most 24d)
  SMS_LIMITS_PER_NUMBER must be off or limits such as 1/30s,5/10m,20/24h, where each longer one allows more (count at most 100, duration at most 24d)
  SMS_BUDGET must be off or limits such as 1000/1h,CH:500/1h, one for all countries and one for each (count at most 1000000, duration at most 24d): entry 2 is wrong
  VERIFY_LIMIT must be off or a limit such as 5/10m (count at most 100, duration at most 24d)
  PHONE_HASH_KEY must be one secret, or two separated by a comma, each of at least 16 visible ASCII characters
  REDIS_URL must be a URL such as redis://:password@host:6379/0, or rediss:// for TLS
  REDIS_PREFIX must be 1 to 50 letters, digits, or any of ._-
  PORT must be a whole number from 0 to 65535
  BODY_LIMIT must be a whole number from 1024 to 104857600
  KEEP_ALIVE_TIMEOUT_MS must be a whole number from 1 to 3600000
  CORS_ORIGINS must be a comma-separated list of origins without a slash at the end, such as https://app.example.com or http://localhost:*: entry 1 is wrong
  ROUTER_SECRETS must be one secret, or two separated by a comma, each of at least 16 visible ASCII characters
  INTROSPECTION must be true or false
  PLAYGROUND must be true or false
  LOG_LEVEL must be one of fatal, error, warn, info, debug, trace, silent
  LOG_FORMAT must be json or pretty
  METRICS_PORT must be a whole number from 0 to 65535
  SHUTDOWN_DELAY_MS must be a whole number from 0 to 300000
  SHUTDOWN_TIMEOUT_MS must be a whole number from 1 to 600000
`,
  });
});

test('logs the limits in effect at startup, and the signal at shutdown', async () => {
  const [REDIS_URL, PHONE_HASH_KEY] = ['redis://:S3CR3T@127.0.0.1:1', 'S3CR3T-of-the-numbers'];
  await using production = await openProduction({
    SMS_BUDGET: '9/1m',
    SMS_COUNTRIES: 'CH,DE',
    PHONE_HASH_KEY,
    REDIS_URL,
  });
  const { server } = production;

  server.kill('SIGTERM');

  expect(await server.exited).toBe(0);
  expect(server.output.stdout).not.toContain('S3CR3T');
  const lines = linesOf(server);
  expect(lines.filter(({ msg }) => msg === 'Effective limits')).toMatchObject([
    {
      level: 'info',
      limits: {
        SMS_LIMITS: '1/30s,5/10m,20/24h',
        SMS_BUDGET: '9/1m',
        SMS_COUNTRIES: 'CH,DE',
        PHONE_HASH_KEY: 'set',
        sharedByRedis: true,
      },
    },
  ]);
  expect(lines).toContainEqual(expect.objectContaining({ level: 'info', msg: 'SIGTERM received: shutting down' }));
});

test.for(['PORT', 'METRICS_PORT'])('reports in one line that %s is in use', async (variable) => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const env = { ZITADEL_URL: 'http://127.0.0.1:1', HOST: '127.0.0.1', PORT: '0', METRICS_PORT: '0' };
  await using server = startChild([main], { ...env, [variable]: String(port) });

  expect(await server.exited).toBe(1);
  expect(server.output.stderr).toBe(
    `${variable} cannot be used: listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`,
  );
  other.close();
});

test('reports in one line that it cannot listen on HOST', async () => {
  await using server = startChild([main], { ZITADEL_URL: 'http://127.0.0.1:1', HOST: '192.0.2.1', PORT: '0' });

  expect(await server.exited).toBe(1);
  expect(server.output.stderr).toBe('HOST cannot be used: listen EADDRNOTAVAIL: address not available 192.0.2.1\n');
});

test.for(['SIGTERM', 'SIGINT'] as const)('finishes a resend in flight on %s, and exits with 0', async (signal) => {
  // The clock stands still, so that the second signal counts as immediate even on the slowest machine.
  const clock = 'data:text/javascript,performance.now = () => 1_000_000';
  await using production = await openProduction({}, ['--import', clock, main]);
  const { server, zitadel, url } = production;
  const answering = gate();
  zitadel.misbehave({ hold: answering.opened });
  // Browsers open connections in advance. An unused one must not delay the exit.
  const [unused, usedLate] = [await openSocket(url), await openSocket(url)];

  const inFlight = resend(url, { mode: 'RETURN_CODE' });
  await zitadel.called(1);
  server.kill(signal);
  await refusesConnections(url);
  server.kill(signal);
  usedLate.write('GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n');
  const late = await text(usedLate);
  answering.open();

  const { data, headers } = await inFlight;
  expect(data?.resendContactPhoneCode?.verificationCode).toBe(zitadel.codes[0]);
  expect(headers.get('connection')).toBe('close');
  expect(late).toMatch(/^HTTP\/1\.1 200 OK\r\n(.*\r\n)*connection: close\r\n/i);
  expect(await server.exited).toBe(0);
  expect(server.output.stderr).toBe('');
  unused.destroy();
});

test('answers 20 resends in flight at shutdown, each with its SMS', async () => {
  await using production = await openProduction({ SMS_LIMITS: 'off' });
  const { server, zitadel, url } = production;
  const answering = gate();
  zitadel.misbehaveWhenWriting(...Array.from({ length: 20 }, () => ({ hold: answering.opened })));

  const inFlight = Array.from({ length: 20 }, () => resend(url));
  await zitadel.written(20);
  server.kill('SIGTERM');
  await refusesConnections(url);
  answering.open();

  const answers = await Promise.all(inFlight);
  expect(answers.map(({ errors }) => errors)).toEqual(Array(20).fill(undefined));
  expect(zitadel.outbox).toHaveLength(20);
  expect(await server.exited).toBe(0);
});

test('aborts requests in flight after SHUTDOWN_TIMEOUT_MS, and exits with 1', async () => {
  await using production = await openProduction({ SHUTDOWN_TIMEOUT_MS: '300', ZITADEL_TIMEOUT_MS: '300000' });
  const { server, zitadel, url } = production;
  zitadel.misbehaveWhenWriting({ hold: new Promise(() => {}) });

  const inFlight = resend(url);
  await zitadel.written(1);
  server.kill('SIGTERM');

  await expect(inFlight).rejects.toThrow();
  expect(await server.exited).toBe(1);
  expect(server.output.stderr).toBe('');
  expect(linesOf(server).slice(-3)).toMatchObject([
    { level: 'info', msg: 'SIGTERM received: shutting down' },
    { level: 'warn', msg: 'request' },
    { level: 'fatal', msg: 'Shutdown timed out after 300 ms; in-flight requests were aborted.' },
  ]);
});

test('exits immediately on a second signal if it comes at least a second after the first', async () => {
  // SIGUSR2 advances its clock; its shutdown never ends.
  const script = `
    import { run } from './dist/process.js';
    let moved = 0;
    performance.now = () => 1_000_000 + moved;
    process.on('SIGUSR2', () => console.log('moved by', (moved += 500)));
    process.on('SIGTERM', () => console.log('signal at', moved));
    const logger = { info: console.log, fatal: console.log };
    await run(() => Promise.resolve({ logger, [Symbol.asyncDispose]: () => new Promise(() => {}) }));
    setInterval(() => {}, 60_000);
    console.log('running');`;
  await using child = startChild(['--input-type=module', '--eval', script]);
  await child.printed(/running/);

  child.kill('SIGTERM');
  await child.printed(/signal at 0/);
  child.kill('SIGUSR2');
  await child.printed(/moved by 500/);
  child.kill('SIGTERM');
  await child.printed(/signal at 500/);
  child.kill('SIGUSR2');
  await child.printed(/moved by 1000/);
  child.kill('SIGTERM');

  expect(await child.exited).toBe(1);
  const lines = child.output.stdout.split('\n').filter((line) => !line.includes('shutting down'));
  expect(lines).toEqual([
    'running',
    'signal at 0',
    'moved by 500',
    'signal at 500',
    'moved by 1000',
    'signal at 1000',
    'Forced exit: second signal received.',
    '',
  ]);
});

test('completes a resend when the caller hangs up and the process shuts down', async () => {
  await using production = await openProduction();
  const { server, zitadel, url } = production;
  const answering = gate();
  zitadel.misbehaveWhenWriting({ hold: answering.opened });
  const caller = new AbortController();

  const call = resend(url, {}, manager, caller.signal);
  await zitadel.written(1);
  caller.abort();
  await expect(call).rejects.toThrow();
  server.kill('SIGTERM');
  await refusesConnections(url);
  answering.open();

  await expect(zitadel.writes[0]?.answered).resolves.toBe(true);
  expect(await server.exited).toBe(0);
});

test('is started by `npm start`, which passes its signals on', async () => {
  await using npm = startChild(['start'], { ZITADEL_URL: 'http://127.0.0.1:1', PORT: '0', HOST: '127.0.0.1' }, 'npm');
  const [, url = ''] = await npm.printed(listening);

  npm.kill('SIGTERM');

  expect(await npm.exited).toBe(0);
  await refusesConnections(url);
});

test('handles a signal during startup: it exits once it has started', async () => {
  // The start completes only after the signal.
  const script = `
    import { run } from './dist/process.js';
    const logger = { info: console.log };
    const running = { logger, [Symbol.asyncDispose]: async () => console.log('disposed') };
    await run(() => new Promise((started) => {
      process.once('SIGTERM', () => setImmediate(started, running));
      setImmediate(() => console.log('starting'));
      setInterval(() => {}, 60_000);
    }));`;
  await using child = startChild(['--input-type=module', '--eval', script]);
  await child.printed(/starting/);

  child.kill('SIGTERM');

  expect(await child.exited).toBe(0);
  expect(child.output.stdout).toBe('starting\nSIGTERM received: shutting down\ndisposed\n');
});

test('exits immediately if there is nothing to wait for', async () => {
  await using production = await openProduction();
  await resend(production.url);

  production.server.kill('SIGTERM');

  expect(await production.server.exited).toBe(0);
});

test('reveals no introspection, suggestions or stacks, even with a development NODE_ENV', async () => {
  await using production = await openProduction({ NODE_ENV: 'development' });

  const answer = await post(`${production.url}/graphql`, { query: '{ __schema { queryType { name } } __typenam }' });

  expect(answer.status).toBe(400);
  expect(answer.text).not.toMatch(/Did you mean|stack/);
});
