import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test, vi } from 'vitest';
import { openSocket, refusesConnections } from './support/sockets.js';
import { openStage } from './support/stage.js';

// How the process ends on a signal is in process.test.ts; here time is moved.

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

test('lets a request whose body is still on its way when it closes come in', async () => {
  const stage = await openStage();
  const socket = await openSocket(stage.url);
  const body = '{"query":"{__typename}"}';
  socket.write(
    `POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nExpect: 100-continue\r\n\r\n`,
  );
  await once(socket, 'data');

  const closed = stage[Symbol.asyncDispose]();
  await refusesConnections(stage.url);
  socket.write(body);

  expect(await text(socket)).toContain('{"data":{"__typename":"Query"}}');
  await closed;
});

test('leaves the signals to the process', async () => {
  vi.stubEnv('NODE_ENV', 'production');
  const before = process.listenerCount('SIGTERM');

  await using stage = await openStage();

  expect(stage.url).toMatch(/^http:/);
  expect(process.listenerCount('SIGTERM')).toBe(before);
});

test('waits for a request that never comes to its end no longer than ten seconds', async () => {
  const stage = await openStage();
  const socket = await openSocket(stage.url);
  socket.write(
    'POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n{',
  );
  await once(socket, 'data'); // 100 Continue: the server has the head of the request, and waits for the rest
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const state = { isClosed: false };

  const closed = stage[Symbol.asyncDispose]().then(() => (state.isClosed = true));
  await refusesConnections(stage.url);
  vi.advanceTimersByTime(9_999);
  await refusesConnections(stage.url);
  expect(state.isClosed).toBe(false);
  vi.advanceTimersByTime(1);

  await closed;
  expect(await text(socket)).toBe('');
});
