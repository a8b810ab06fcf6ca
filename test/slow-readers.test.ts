import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { acceptedSockets } from './support/accepted-sockets.js';
import { gate } from './support/gate.js';
import { answersOn, nextOf, rawGet, rawPost } from './support/raw-http.js';
import { openSocket } from './support/sockets.js';
import { manager, openStage, unverified } from './support/stage.js';
import { until } from './support/until.js';

afterEach(() => void vi.useRealTimers());

const resend = rawPost(
  JSON.stringify({ query: `mutation { resendContactPhoneCode(userId: "${unverified}") { verificationCode } }` }),
  manager,
);
/** Each answer is some 400 kB. */
const large = rawPost(
  JSON.stringify({ query: `{ ${Array.from({ length: 40 }, (_, index) => `a${index}: _service { sdl }`).join(' ')} }` }),
);

/** A server whose checks of open connections come by hand, and a client with the server's side of its connection. */
async function openStalled() {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  const stage = await openStage();
  const accepted = acceptedSockets(stage.url);
  const client = await openSocket(stage.url);
  await until(() => Promise.resolve(accepted.length > 0));
  const connection = accepted[0] as Socket;
  /** Waits until the operating system takes no more. */
  const isStuck = async () => {
    await until(() => Promise.resolve(connection.writableLength > 0));
    for (let quiet = 0, last = NaN; quiet < 20;) {
      await new Promise((resolve) => setImmediate(resolve));
      quiet = connection.writableLength === last ? quiet + 1 : 0;
      last = connection.writableLength;
    }
  };
  return { stage, client, connection, isStuck };
}

test.for([
  ['its answers', large, 200],
  ['the refusals of what it sends', rawGet('/%zz'), 20_000],
] as const)('ends a connection whose client reads none of %s for 30 seconds', async ([, request, times]) => {
  const { stage, client, connection, isStuck } = await openStalled();
  client.pause().write(request.repeat(times));
  await isStuck();

  vi.advanceTimersByTime(30_000);
  expect(connection.destroyed).toBe(false);
  vi.advanceTimersByTime(5_000);
  expect(connection.destroyed).toBe(true);

  expect((await stage.resend()).errors).toBeUndefined();
  client.destroy();
  await stage[Symbol.asyncDispose]();
});

test('ends the connection of a client that keeps sending but reads nothing', async () => {
  const { stage, client, connection, isStuck } = await openStalled();
  // All in one read: for a further request, Node would stop reading.
  client.pause().write(large.repeat(30));
  await isStuck();

  for (let seconds = 0; seconds < 35; seconds += 5) {
    const { bytesRead } = connection;
    client.write('\r\n');
    await until(() => Promise.resolve(connection.bytesRead > bytesRead || connection.destroyed));
    vi.advanceTimersByTime(5_000);
  }

  expect(connection.destroyed).toBe(true);
  client.destroy();
  await stage[Symbol.asyncDispose]();
});

test('restarts the 30 seconds when the client reads some of its answer', async () => {
  const { stage, client, connection, isStuck } = await openStalled();
  client.pause().write(large.repeat(100));
  await isStuck();

  vi.advanceTimersByTime(30_000);
  // The length that is left says nothing: each answer has the same.
  const taken = () => connection.bytesWritten - connection.writableLength;
  const before = taken();
  while (taken() === before) {
    client.resume();
    await once(client, 'data');
    client.pause();
  }
  vi.advanceTimersByTime(30_000);

  expect(connection.destroyed).toBe(false);
  client.destroy();
  await stage[Symbol.asyncDispose]();
});

test('does not count the time that the client waits for the server', async () => {
  const { stage, client, connection } = await openStalled();
  const answering = gate();
  stage.zitadel.misbehave({ hold: answering.opened });
  client.write(resend);
  await stage.zitadel.called(1);

  vi.advanceTimersByTime(300_000);
  expect(connection.destroyed).toBe(false);
  answering.open();

  expect((await nextOf(answersOn(client))).status).toBe(200);
  client.destroy();
  await stage[Symbol.asyncDispose]();
});
