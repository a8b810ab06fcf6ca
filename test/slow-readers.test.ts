import { Socket } from 'node:net';
import { expect, onTestFinished, test, vi } from 'vitest';
import { checkIntervalMs, takeTimeoutMs } from '../src/http/untaken-answers.js';
import { acceptedSockets } from './support/accepted-sockets.js';
import { gate } from './support/gate.js';
import { answersOn, nextOf, rawGet, rawPost } from './support/raw-http.js';
import { openSocket } from './support/sockets.js';
import { manager, openStage, unverified } from './support/stage.js';
import { until } from './support/until.js';

/** Lets the 30 seconds pass at once. */
function hurry() {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called on its socket
  const real = Socket.prototype.setTimeout;
  const spy = vi.spyOn(Socket.prototype, 'setTimeout').mockImplementation(function (this: Socket, ms, callback) {
    return real.call(this, ms === checkIntervalMs ? 5 : ms, callback);
  });
  onTestFinished(() => spy.mockRestore());
}

const resend = rawPost(
  JSON.stringify({ query: `mutation { resendContactPhoneCode(userId: "${unverified}") { verificationCode } }` }),
  manager,
);
/** Each answer is some 200 kB. */
const large = rawPost(
  JSON.stringify({ query: `{ ${Array.from({ length: 40 }, (_, index) => `a${index}: _service { sdl }`).join(' ')} }` }),
);

test('gives a client thirty seconds to read some of its answer, and at most five more', () => {
  expect([takeTimeoutMs, checkIntervalMs]).toEqual([30_000, 5_000]);
});

test.for([
  ['its answers', large, 200],
  ['the refusals of its requests', rawGet('/%zz'), 20_000],
] as const)('closes a connection whose client does not read %s', { timeout: 120_000 }, async ([, request, times]) => {
  await using stage = await openStage();
  const accepted = acceptedSockets(stage.url);
  const socket = await openSocket(stage.url);
  await until(() => Promise.resolve(accepted.length > 0));
  let checks = 0;
  accepted[0]?.on('timeout', () => (checks += 1));
  // More than the system takes for it.
  socket.pause().write(request.repeat(times));
  hurry();

  await until(() => Promise.resolve(accepted[0]?.closed === true));
  expect(checks).toBeGreaterThanOrEqual(takeTimeoutMs / checkIntervalMs);

  expect((await stage.resend()).errors).toBeUndefined();
  socket.destroy();
});

test('does not count the time during which the client waits', { timeout: 120_000 }, async () => {
  await using stage = await openStage();
  const answering = gate();
  stage.zitadel.misbehave({ hold: answering.opened });
  const accepted = acceptedSockets(stage.url);
  const [patient, untaken] = [await openSocket(stage.url), await openSocket(stage.url)];
  const answers = answersOn(patient);
  hurry();

  // The first is answered; the second, behind it, waits for ZITADEL.
  patient.write(rawGet('/health/live') + resend);
  await nextOf(answers);
  await stage.zitadel.called(1);
  // When this one is over, so would be the time of the other, which has begun before.
  untaken.pause().write(large.repeat(200));
  await until(() => Promise.resolve(accepted[1]?.closed === true));
  answering.open();

  expect((await nextOf(answers)).status).toBe(200);
  patient.destroy();
  untaken.destroy();
});
