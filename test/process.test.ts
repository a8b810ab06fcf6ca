import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { startChild } from './support/child.js';
import { gate } from './support/gate.js';
import { leaveForLogTest, resend } from './support/stage.js';

const main = 'dist/main.js';
const listening = /listening at (http:\/\/[\d.]+:\d+)/;

/** The production server in a process of its own, in front of an embedded ZITADEL. */
async function openProduction() {
  const zitadel = await startEmbeddedZitadel();
  const server = startChild(main, { ZITADEL_URL: zitadel.url, PORT: '0', HOST: '127.0.0.1' });
  const [, url = ''] = await server.printed(listening);
  return {
    zitadel,
    server,
    url,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await zitadel[Symbol.asyncDispose]();
      leaveForLogTest([server.output.stdout, server.output.stderr], zitadel);
    },
  };
}

test('says everything that is wrong with the environment at once, and ends with 1', async () => {
  await using server = startChild(main, {
    ZITADEL_INSTANCE_HOST: 'https://example.com',
    ZITADEL_TIMEOUT_MS: '10s',
    PORT: 'abc',
    CORS_ORIGINS: 'example.com',
    INTROSPECTION: 'yes',
    LOG_LEVEL: 'loud',
  });

  expect(await server.exited).toBe(1);
  expect(server.output).toEqual({
    stdout: '',
    stderr: `The configuration cannot be used:
  ZITADEL_URL is required: the base URL of ZITADEL, such as https://example.zitadel.cloud
  ZITADEL_INSTANCE_HOST must be a host name, such as example.zitadel.cloud
  ZITADEL_TIMEOUT_MS must be a whole number from 1 to 300000
  PORT must be a whole number from 0 to 65535
  CORS_ORIGINS must be a comma-separated list of origins, such as https://app.example.com
  INTROSPECTION must be true or false
  LOG_LEVEL must be one of fatal, error, warn, info, debug, trace, silent
`,
  });
});

test('says in a line that its port is taken', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await using server = startChild(main, { ZITADEL_URL: 'http://127.0.0.1:1', HOST: '127.0.0.1', PORT: String(port) });

  expect(await server.exited).toBe(1);
  expect(server.output.stderr).toBe(`listen EADDRINUSE: address already in use 127.0.0.1:${port}\n`);
  other.close();
});

test.for(['SIGTERM', 'SIGINT'] as const)(
  'lets a resend in flight end on %s, accepts no other, and exits with 0',
  async (signal) => {
    await using production = await openProduction();
    const { server, zitadel, url } = production;
    const answering = gate();
    zitadel.misbehave({ hold: answering.opened });
    // A browser opens connections in advance; one that is never used must not hold the end up.
    const unused = connect(Number(new URL(url).port), '127.0.0.1');
    await once(unused, 'connect');

    const inFlight = resend(url, { mode: 'RETURN_CODE' });
    await zitadel.called(1);
    server.kill(signal);
    server.kill(signal);
    await refusesConnections(url);
    answering.open();

    const { data, headers } = await inFlight;
    expect(data?.resendContactPhoneCode?.verificationCode).toBe(zitadel.codes[0]);
    expect(headers.get('connection')).toBe('close');
    expect(await server.exited).toBe(0);
    expect(server.output.stderr).toBe('');
    unused.destroy();
  },
);

test('ends at once when there is nothing to wait for', async () => {
  await using production = await openProduction();
  await resend(production.url);

  production.server.kill('SIGTERM');

  expect(await production.server.exited).toBe(0);
});

test('is hidden from strangers: no introspection, no hint, no stack, with a development NODE_ENV too', async () => {
  await using zitadel = await startEmbeddedZitadel();
  await using server = startChild(main, {
    ZITADEL_URL: zitadel.url,
    PORT: '0',
    HOST: '127.0.0.1',
    NODE_ENV: 'development',
  });
  const [, url = ''] = await server.printed(listening);

  const query = '{ __schema { queryType { name } } __typenam }';
  const answer = await fetch(`${url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query }),
  });

  expect(answer.status).toBe(400);
  expect(await answer.text()).not.toMatch(/Did you mean|stack/);
});

/** Resolves when new connections are refused. */
async function refusesConnections(url: string): Promise<void> {
  for (;;) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1');
    const isRefused = await once(socket, 'connect').then(
      () => false,
      () => true,
    );
    socket.destroy();
    if (isRefused) return;
  }
}
