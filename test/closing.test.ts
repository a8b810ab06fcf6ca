import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test, vi } from 'vitest';
import { readConfig } from '../src/config.js';
import { createHttpServer } from '../src/http/http-server.js';
import { createLogger } from '../src/logger.js';
import { resendAndHangUp } from './support/hang-up.js';
import { gate } from './support/gate.js';
import { openSocket, refusesConnections } from './support/sockets.js';
import { openStage } from './support/stage.js';

// How the process ends on a signal is in process.test.ts; here time is moved.

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

/** Of a request that the server answers with 100 Continue as soon as it has it: then it waits for the body. */
const head = (length: number) =>
  `POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`;

test('lets a request whose body is still on its way when it closes come in', async () => {
  const stage = await openStage();
  const socket = await openSocket(stage.url);
  const body = '{"query":"{__typename}"}';
  socket.write(head(body.length));
  await once(socket, 'data');

  const closed = stage.closeServer();
  await refusesConnections(stage.url);
  socket.write(body);

  expect(await text(socket)).toContain('{"data":{"__typename":"Query"}}');
  await closed;
  await stage[Symbol.asyncDispose]();
});

test('leaves the signals to the process', async () => {
  vi.stubEnv('NODE_ENV', 'production');
  const before = process.listenerCount('SIGTERM');

  await using stage = await openStage();

  expect(stage.url).toMatch(/^http:/);
  expect(process.listenerCount('SIGTERM')).toBe(before);
});

test('closes only after the answer of a resend whose caller has hung up', async () => {
  const stage = await openStage();
  const answering = await resendAndHangUp(stage);
  const events: string[] = [];
  const closed = stage.closeServer().then(() => events.push('closed'));
  await refusesConnections(stage.url);
  // Time enough to close, if it did not wait.
  for (let turn = 0; turn < 50; turn += 1) await refusesConnections(stage.url);
  events.push('answered');
  answering.open();

  await closed;
  expect(events).toEqual(['answered', 'closed']);
  await stage[Symbol.asyncDispose]();
});

test('has everything done that is needed for a resend whose caller has hung up', async () => {
  const stage = await openStage({ SMS_COUNTRIES: 'CH' });
  const answering = await resendAndHangUp(stage);
  const closed = stage.closeServer();
  await refusesConnections(stage.url);
  answering.open();
  await closed;

  // It had only read the number when it was told to end.
  expect(stage.zitadel.outbox).toHaveLength(1);
  await stage[Symbol.asyncDispose]();
});

test('gives a request ten seconds to come in, and its headers five', async () => {
  const { http } = readConfig({ ZITADEL_URL: 'http://localhost' });
  const app = await createHttpServer(http, await createLogger({ level: 'silent', format: 'json' }));

  expect(app.server).toMatchObject({ requestTimeout: 10_000, headersTimeout: 5_000 });
});

test('waits for a request that never comes to its end no longer than that, and for one in flight longer', async () => {
  const stage = await openStage({ ZITADEL_TIMEOUT_MS: '60000' });
  const answering = gate();
  stage.zitadel.misbehave({ hold: answering.opened });
  const inFlight = stage.resend();
  await stage.zitadel.called(1);
  const socket = await openSocket(stage.url);
  socket.write(head(100) + '{');
  await once(socket, 'data');
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const state = { isCut: false };
  const cut = text(socket).then(() => (state.isCut = true));

  const closed = stage.closeServer();
  await refusesConnections(stage.url);
  vi.advanceTimersByTime(9_999);
  await refusesConnections(stage.url);
  expect(state.isCut).toBe(false);
  vi.advanceTimersByTime(1);
  await cut;
  answering.open();

  expect((await inFlight).errors).toBeUndefined();
  await closed;
  await stage[Symbol.asyncDispose]();
});
