import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterEach, expect, test, vi } from 'vitest';
import { readConfig } from '../src/config/config.js';
import { createHttpServer } from '../src/http/http-server.js';
import { createLogger } from '../src/logger.js';
import { resendAndHangUp } from './support/hang-up.js';
import { gate } from './support/gate.js';
import { answersOn, nextOf, rawGet, rawPost } from './support/raw-http.js';
import { openSocket, refusesConnections } from './support/sockets.js';
import { manager, openStage, unverified } from './support/stage.js';

// process.test.ts tests shutdown on a signal. These tests use fake time.

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

/** The head of a request that the server answers with 100 Continue on arrival. Then it waits for the body. */
const head = (length: number) =>
  `POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\nExpect: 100-continue\r\n\r\n`;

test('receives the rest of a body that is still arriving when the server closes', async () => {
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

test('leaves signals to the process', async () => {
  vi.stubEnv('NODE_ENV', 'production');
  const before = process.listenerCount('SIGTERM');

  await using stage = await openStage();

  expect(stage.url).toMatch(/^http:/);
  expect(process.listenerCount('SIGTERM')).toBe(before);
});

test('waits for the answer to a resend whose caller has hung up before it closes', async () => {
  const stage = await openStage();
  const answering = await resendAndHangUp(stage, 'RETURN_CODE');
  const events: string[] = [];
  const closed = stage.closeServer().then(() => events.push('closed'));
  await refusesConnections(stage.url);
  // Enough time to close, if it did not wait.
  for (let turn = 0; turn < 50; turn += 1) await refusesConnections(stage.url);
  events.push('answered');
  answering.open();

  await closed;
  expect(events).toEqual(['answered', 'closed']);
  await stage[Symbol.asyncDispose]();
});

test('makes all calls of a resend even if its caller has hung up', async () => {
  const stage = await openStage();
  const answering = await resendAndHangUp(stage, 'SEND_CODE');
  const closed = stage.closeServer();
  await refusesConnections(stage.url);
  answering.open();
  await closed;

  // When the shutdown began, it had only read the user.
  expect(stage.zitadel.outbox).toHaveLength(1);
  await stage[Symbol.asyncDispose]();
});

test('gives a request ten seconds to arrive, and its headers five', async () => {
  const { http } = readConfig({ ZITADEL_URL: 'http://localhost' });
  const { app } = await createHttpServer(http, await createLogger({ level: 'silent', format: 'json' }));

  expect(app.server).toMatchObject({ requestTimeout: 10_000, headersTimeout: 5_000 });
});

test('at shutdown, waits ten seconds for an incomplete request, and longer for one in flight', async () => {
  const stage = await openStage({ ZITADEL_TIMEOUT_MS: '60000' });
  const answering = gate();
  stage.zitadel.misbehaveWhenWriting({ hold: answering.opened });
  const inFlight = stage.resend();
  await stage.zitadel.written(1);
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

const typename = rawPost('{"query":"{ __typename }"}');
const resend = rawPost(
  JSON.stringify({ query: `mutation { resendContactPhoneCode(userId: "${unverified}") { verificationCode } }` }),
  manager,
);

/** Opens a connection that is kept alive after its first answer. */
async function openKeptAlive(url: string) {
  const socket = await openSocket(url);
  const answers = answersOn(socket);
  socket.write(rawGet('/health/live'));
  expect((await nextOf(answers)).head).toContain('connection: keep-alive');
  return { socket, answers };
}

/** A stage that is shutting down, and stays within SHUTDOWN_DELAY_MS until the test lets that pass. */
async function drainingStage(connections: number) {
  const stage = await openStage({ SHUTDOWN_DELAY_MS: '300000', CORS_ORIGINS: 'https://app.example.com' });
  const kept = await Promise.all(Array.from({ length: connections }, () => openKeptAlive(stage.url)));
  vi.useFakeTimers({ toFake: ['setTimeout'] });
  const closed = stage.closeServer();
  return {
    stage,
    kept,
    end: async () => {
      vi.advanceTimersByTime(300_000);
      await closed;
      await stage[Symbol.asyncDispose]();
    },
  };
}

test.for([
  ['GraphQL', typename, 200],
  ['a mutation', resend, 200],
  ['a body that is not JSON', rawPost('{'), 400],
  ['an unsupported content type', rawPost('a=b', { 'content-type': 'application/x-www-form-urlencoded' }), 415],
  ['a request by GET', rawGet('/graphql'), 405],
  ['a preflight', 'OPTIONS /graphql HTTP/1.1\r\nHost: a\r\nOrigin: https://app.example.com\r\n\r\n', 204],
  ['liveness', rawGet('/health/live'), 200],
  ['readiness', rawGet('/health/ready'), 503],
  ['metrics', rawGet('/metrics'), 200],
  ['an unknown path', rawGet('/nothing'), 404],
  ['a URL that cannot be decoded', rawGet('/%zz'), 400],
  ['a request without a host', 'GET /health/live HTTP/1.1\r\n\r\n', 400],
  ['something other than HTTP', 'S3CR3T\r\n\r\n', 400],
] as const)(
  'after the signal, announces in the answer to %s that the connection closes, and closes it',
  async ([, bytes, status]) => {
    const { kept, end } = await drainingStage(1);

    for (const { socket, answers } of kept) {
      socket.write(bytes);
      const answer = await nextOf(answers);
      expect(answer.status).toBe(status);
      expect(answer.head).toContain('connection: close');
      expect((await answers.next()).done).toBe(true);
    }
    await end();
  },
);

test('closes a connection only after its last pending answer', async () => {
  const { stage, kept, end } = await drainingStage(1);

  for (const { socket, answers } of kept) {
    socket.write(resend + resend);
    const [first, second] = [await nextOf(answers), await nextOf(answers)];
    expect([first.status, second.status]).toEqual([200, 200]);
    expect([first.head, second.head].map((head) => head.includes('connection: close'))).toEqual([false, true]);
    expect((await answers.next()).done).toBe(true);
  }
  expect(stage.zitadel.outbox).toHaveLength(2);
  await end();
});

test('does not execute a request that follows an answer with Connection: close', async () => {
  const { stage, kept, end } = await drainingStage(1);

  for (const { socket, answers } of kept) {
    // The first request is answered before the second is processed.
    socket.write(rawGet('/health/live') + resend);
    expect((await nextOf(answers)).head).toContain('connection: close');
    expect((await answers.next()).done).toBe(true);
  }
  await end();
  expect(stage.zitadel.outbox).toEqual([]);
});

test('answers requests that have arrived but are still unread when it closes', async () => {
  const stage = await openStage();
  const kept = await Promise.all(Array.from({ length: 5 }, () => openKeptAlive(stage.url)));
  const fresh = await Promise.all(
    Array.from({ length: 5 }, async () => {
      const socket = await openSocket(stage.url);
      return { socket, answers: answersOn(socket) };
    }),
  );
  const unused = await openSocket(stage.url);
  const idle = await openKeptAlive(stage.url);

  // The writes reach the kernel's buffer immediately, and the shutdown begins before the server has a chance to read them.
  for (const { socket } of [...kept, ...fresh]) socket.write(resend);
  const closed = stage.closeServer();

  for (const { answers } of [...kept, ...fresh]) {
    const { status, head } = await nextOf(answers);
    expect(status).toBe(200);
    expect(head).toContain('connection: close');
  }
  await closed;
  expect(stage.zitadel.outbox).toHaveLength(10);
  expect([(await idle.answers.next()).done, await text(unused)]).toEqual([true, '']);
  await stage[Symbol.asyncDispose]();
});

test('answers a request that has only partly arrived when it closes', async () => {
  const stage = await openStage();
  const socket = await openSocket(stage.url);
  const answers = answersOn(socket);
  // Once the first is answered, the server has also read the beginning of the second.
  socket.write(rawGet('/health/live') + resend.slice(0, 40));
  await nextOf(answers);

  const closed = stage.closeServer();
  await refusesConnections(stage.url);
  socket.write(resend.slice(40));

  const { status, head } = await nextOf(answers);
  expect(status).toBe(200);
  expect(head).toContain('connection: close');
  await closed;
  expect(stage.zitadel.outbox).toHaveLength(1);
  await stage[Symbol.asyncDispose]();
});

test('waits ten seconds for the rest of a request, then refuses it, and closes an unused connection silently', async () => {
  const stage = await openStage();
  const [partial, unused] = [await openSocket(stage.url), await openSocket(stage.url)];
  const answers = answersOn(partial);
  partial.write(rawGet('/health/live') + resend.slice(0, 40));
  await nextOf(answers);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });

  const closed = stage.closeServer();
  await refusesConnections(stage.url);
  vi.advanceTimersByTime(10_000);

  const { status, body } = await nextOf(answers);
  expect(status).toBe(408);
  expect(JSON.parse(body)).toMatchObject({ errors: [{ extensions: { code: 'BAD_REQUEST', outcome: 'NOT_DONE' } }] });
  expect(await text(unused)).toBe('');
  await closed;
  await stage[Symbol.asyncDispose]();
});
