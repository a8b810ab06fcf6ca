import { expect, onTestFinished, test, vi } from 'vitest';
import { PhoneChanges } from '../src/contact-phone/phone-changes.js';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { Deadline } from '../src/zitadel/exchange.js';
import { stopClock } from './support/clock.js';
import { gate } from './support/gate.js';
import { readOne } from './support/reads.js';
import { bearer, manager, openStage, unverified } from './support/stage.js';
import { answered } from './support/zitadel.js';

// No code is resent by SMS for a removed phone: ZITADEL would send a ghost SMS.

type Stage = Awaited<ReturnType<typeof openStage>>;

const member = bearer(tokens.member.token);
const outsider = bearer(tokens.outsider.token);

/** The changes of the unverified user's phone that must not overlap. */
const changes = {
  SetPhone: (stage: Stage, headers = manager) =>
    stage.run('set-contact-phone', { userId: unverified, number: '+41795550102', mode: 'RETURN_CODE' }, headers),
  RemovePhone: (stage: Stage, headers = manager) => stage.run('remove-contact-phone', { userId: unverified }, headers),
  ResendPhoneCode: (stage: Stage, headers = manager) => stage.resend({}, headers),
};
const { SetPhone: set, RemovePhone: remove, ResendPhoneCode: resend } = changes;

/** Changes the phone as another client of ZITADEL. */
const elsewhere = (stage: Stage, method: 'POST' | 'DELETE') =>
  fetch(`${stage.zitadel.url}/v2/users/${unverified}/phone`, {
    method,
    headers: manager,
    body: method === 'POST' ? '{"phone":"+41795550103","returnCode":{}}' : null,
  });

const firstExtensionsOf = ({ errors }: { errors: { extensions: object }[] | undefined }) => errors?.[0]?.extensions;
const rpcsOf = (calls: readonly { rpc: string | undefined }[]) => calls.map(({ rpc }) => rpc);

const noPhone = { code: 'FAILED_PRECONDITION', reason: 'NO_PHONE', outcome: 'NOT_DONE' };
const inProgress = { code: 'RATE_LIMITED', reason: 'IN_PROGRESS', outcome: 'NOT_DONE' };

/** The user in a read that still shows the phone, as ZITADEL's reads do for a while after a removal, and rarely for good. */
const shown = { userId: unverified, human: { phone: { phone: users.unverified.phone.number } } };
const stale = answered({ details: { sequence: '1' }, user: shown });

/** Gives this server time for whatever it may wrongly do. */
const reads = async (stage: Stage) => {
  for (let read = 0; read < 3; read += 1) await readOne(stage.graphql, users.verified.userId);
};

test('50 removals at the same time as resends cause no ghost SMS', async () => {
  await using stage = await openStage();
  const { zitadel } = stage;
  let sent = 0;

  for (let round = 0; round < 50; round += 1) {
    const number = `+4179555${String(1000 + round)}`;
    await stage.run('set-contact-phone', { userId: unverified, number, mode: 'RETURN_CODE' });
    zitadel.calls.length = 0;
    const resending = resend(stage);
    // Some of the removals arrive before the resend reads the user, others afterwards.
    if (round % 3 > 0) await zitadel.called(round % 3);
    const [removed, resent] = await Promise.all([remove(stage), resending]);

    expect(removed.errors).toBeUndefined();
    if (resent.errors) expect(firstExtensionsOf(resent)).toEqual(noPhone);
    else sent += 1;
  }

  expect(zitadel.outbox).toHaveLength(sent);
  expect(zitadel.outbox.map(({ number }) => number)).not.toContain('');
});

test('does not send an SMS if the phone was removed after the read', async () => {
  await using stage = await openStage();
  const { zitadel } = stage;
  const reading = gate();
  zitadel.misbehave({ hold: reading.opened });

  const resending = resend(stage);
  await zitadel.called(1);
  const removed = await remove(stage);
  reading.open();

  expect(removed.errors).toBeUndefined();
  expect(firstExtensionsOf(await resending)).toEqual(noPhone);
  expect(rpcsOf(zitadel.calls)).toEqual(['GetUserByID', 'RemovePhone']);
});

test.for([
  ['', stale],
  [', without its sequence', answered({ user: shown })],
] as const)('after a removal, sends no SMS for a minute if a read still shows the phone%s', async ([, read]) => {
  const clock = stopClock();
  await using stage = await openStage();
  const { zitadel } = stage;
  await remove(stage);
  zitadel.misbehave(read, read, read);

  const immediately = await resend(stage);
  clock.move(59);
  const afterAWhile = await resend(stage);
  const meanwhile = rpcsOf(zitadel.writes);
  clock.move(1);
  await resend(stage);

  expect([immediately, afterAWhile].map(firstExtensionsOf)).toEqual([noPhone, noPhone]);
  expect(meanwhile).toEqual(['RemovePhone']);
  expect(rpcsOf(zitadel.writes)).toEqual(['RemovePhone', 'ResendPhoneCode']);
});

test('after a removal, sends no SMS for as long as a read may take', async () => {
  const clock = stopClock();
  await using stage = await openStage({ ZITADEL_TIMEOUT_MS: '300000' });
  await remove(stage);
  clock.move(299);
  stage.zitadel.misbehave(stale);

  expect(firstExtensionsOf(await resend(stage))).toEqual(noPhone);
});

test.for([
  ['a removal', 1],
  ['two removals', 2],
] as const)('after %s, sends an SMS at once to a phone that was set elsewhere', async ([, times]) => {
  await using stage = await openStage();
  for (let time = 0; time < times; time += 1) await remove(stage);
  await elsewhere(stage, 'POST');

  expect((await resend(stage)).errors).toBeUndefined();
  expect(stage.zitadel.outbox.map(({ number }) => number)).toEqual(['+41795550103']);
});

const long = '10000000000000000000';
test.for([
  ['9999999999999999999', noPhone],
  [long, noPhone],
  ['10000000000000000001', undefined],
] as const)('after a removal, compares sequences as the integers they are: %s', async ([sequence, refusal]) => {
  await using stage = await openStage();
  const details = { sequence: long, changeDate: '2026-01-02T03:04:05.678Z', resourceOwner: '1' };
  stage.zitadel.misbehaveWhenWriting(answered({ details }));
  await remove(stage);
  stage.zitadel.misbehave(answered({ details: { sequence }, user: shown }));

  expect(firstExtensionsOf(await resend(stage))).toEqual(refusal);
});

test('after a removal, the next set allows SMS again, but not one that fails', async () => {
  await using stage = await openStage();
  const { zitadel } = stage;
  await remove(stage);
  await set(stage, member);
  zitadel.misbehave(stale);
  const afterAFailedSet = await resend(stage);
  await set(stage);
  const afterASet = await resend(stage);

  expect(firstExtensionsOf(afterAFailedSet)).toEqual(noPhone);
  expect(afterASet.errors).toBeUndefined();
  expect(zitadel.outbox.map(({ number }) => number)).toEqual(['+41795550102']);
});

test.for([
  ['the connection breaks', { reset: true }],
  ['a proxy gives up', { answer: { status: 504, headers: { 'content-type': 'text/html' } } }],
] as const)(
  'sends no SMS for a minute after a removal of unknown outcome, not even after a set: %s',
  async ([, lost]) => {
    const clock = stopClock();
    await using stage = await openStage();
    const { zitadel } = stage;
    zitadel.misbehaveWhenWriting(lost);
    const removed = await remove(stage);
    clock.move(20);
    await set(stage);
    zitadel.misbehave(stale);

    const resent = await resend(stage);

    expect(firstExtensionsOf(removed)).toMatchObject({ outcome: 'UNKNOWN' });
    expect(firstExtensionsOf(resent)).toEqual({ ...inProgress, retryAfter: 40 });
    expect(zitadel.outbox).toEqual([]);
  },
);

test('a removal of unknown outcome still prevents SMS after another removal and a set', async () => {
  await using stage = await openStage();
  const { zitadel } = stage;
  zitadel.misbehaveWhenWriting({ answer: { status: 504, headers: { 'content-type': 'text/html' } } });
  await remove(stage);
  const removed = await remove(stage);
  const wasSet = await set(stage);
  // Only now does ZITADEL carry the first removal out, and a read still shows the phone.
  await elsewhere(stage, 'DELETE');
  zitadel.misbehave(answered({ details: { sequence: '3' }, user: shown }));

  const resent = await resend(stage);

  expect([removed.errors, wasSet.errors]).toEqual([undefined, undefined]);
  expect(firstExtensionsOf(resent)).toMatchObject(inProgress);
  expect(zitadel.outbox).toEqual([]);
});

test('sends no SMS after a removal showed that there is no phone, even if a read still shows one', async () => {
  await using stage = await openStage();
  const { zitadel } = stage;
  await elsewhere(stage, 'DELETE');
  const removed = await remove(stage);
  zitadel.misbehave(stale);

  const resent = await resend(stage);

  expect(firstExtensionsOf(removed)).toMatchObject(noPhone);
  expect(firstExtensionsOf(resent)).toEqual(noPhone);
  expect(zitadel.outbox).toEqual([]);
});

test('a user whose phone no read shows gets a code after removing and setting it', async () => {
  await using stage = await openStage();
  const { zitadel } = stage;
  const { number } = users.unverified.phone;
  const withoutPhone = answered({ details: { sequence: '1' }, user: { userId: unverified, human: { phone: {} } } });
  const setBySms = () => stage.run('set-contact-phone', { userId: unverified, number });
  zitadel.misbehave(withoutPhone, withoutPhone, withoutPhone);

  const resent = await resend(stage);
  const wasSet = await setBySms();
  const removed = await remove(stage);
  zitadel.misbehave(withoutPhone);
  const wasSetAgain = await setBySms();

  expect([resent, wasSet].map(firstExtensionsOf)).toMatchObject([noPhone, { reason: 'SAME_NUMBER' }]);
  expect([removed.errors, wasSetAgain.errors]).toEqual([undefined, undefined]);
  expect(zitadel.outbox.map((sms) => sms.number)).toEqual([number]);
});

test('a removal that ZITADEL or a firewall rejects does not affect the user', async () => {
  await using stage = await openStage();
  await remove(stage, outsider);
  await remove(stage, member);
  stage.zitadel.misbehaveWhenWriting({ answer: { status: 403, headers: { 'content-type': 'text/html' } } });
  await remove(stage, outsider);

  expect((await resend(stage)).errors).toBeUndefined();
  expect(stage.zitadel.outbox).toHaveLength(1);
});

const kinds = Object.keys(changes) as (keyof typeof changes)[];
const pairs = kinds.flatMap((first) =>
  kinds.filter((kind) => kind !== first).map((second) => [first, second] as const),
);

test.for(pairs)('while a %s is in flight, a %s for the same user waits', async ([first, second]) => {
  await using stage = await openStage();
  const { zitadel } = stage;
  const answering = gate();
  zitadel.misbehaveWhenWriting({ hold: answering.opened });

  const one = changes[first](stage);
  await zitadel.written(1);
  const other = changes[second](stage);
  // Other users do not wait.
  await stage.resend({ mode: 'SEND_CODE', userId: users.verified.userId });
  await reads(stage);
  const meanwhile = rpcsOf(zitadel.writes.filter(({ userId }) => userId === unverified));
  answering.open();
  await Promise.all([one, other]);

  expect(meanwhile).toEqual([first]);
  // After a removal there is nothing to resend to.
  const isNeverSent = first === 'RemovePhone' && second === 'ResendPhoneCode';
  expect(rpcsOf(zitadel.writes.filter(({ userId }) => userId === unverified))).toEqual(
    isNeverSent ? [first] : [first, second],
  );
});

test('callers that ZITADEL rejects delay an SMS by at most one call, however many there are', async () => {
  await using stage = await openStage();
  const { zitadel } = stage;
  const answering = gate();
  const sending = gate();
  const held = { hold: answering.opened };
  zitadel.misbehaveWhenWriting(...Array.from({ length: 20 }, () => held), { hold: sending.opened });

  // These do not wait for each other.
  const before = Array.from({ length: 20 }, () => remove(stage, outsider));
  await zitadel.written(20);
  const resending = resend(stage);
  await zitadel.called(21);
  await zitadel.calls[20]?.answered;
  await reads(stage);
  // These wait for the SMS.
  const after = Array.from({ length: 20 }, () => remove(stage, outsider));
  await reads(stage);
  expect(zitadel.writes).toHaveLength(20);
  answering.open();
  await Promise.all(before);
  await zitadel.written(21);
  await reads(stage);
  expect(zitadel.writes).toHaveLength(21);
  sending.open();
  await Promise.all([resending, ...after]);

  expect((await resending).errors).toBeUndefined();
  const removals = Array.from({ length: 20 }, () => 'RemovePhone');
  expect(rpcsOf(zitadel.writes)).toEqual([...removals, 'ResendPhoneCode', ...removals]);
});

test('does not wait so long that an SMS would start late, and delays nobody after that', async () => {
  const clock = stopClock();
  await using stage = await openStage();
  const { zitadel } = stage;
  const [answering, reading] = [gate(), gate()];
  zitadel.misbehaveWhenWriting({ hold: answering.opened });
  zitadel.misbehave({ hold: reading.opened });

  const removing = remove(stage, outsider);
  await zitadel.written(1);
  const resending = resend(stage);
  await zitadel.called(2);
  clock.move(5);
  reading.open();
  await zitadel.calls[1]?.answered;
  await reads(stage);
  answering.open();
  await removing;

  expect(firstExtensionsOf(await resending)).toEqual({ ...inProgress, retryAfter: 1 });
  expect(rpcsOf(zitadel.writes)).toEqual(['RemovePhone']);
  expect((await set(stage)).errors).toBeUndefined();
});

test('forgets a removal when another comes after its minute', async () => {
  const clock = stopClock();
  const changes = new PhoneChanges(10_000);
  const deadline = new Deadline(10_000);
  const details = { sequence: '2', changeDate: '', resourceOwner: '' };
  const removeOf = (userId: string) => changes.remove(userId, deadline, () => Promise.resolve({ details }));
  const sendTo = (userId: string) => {
    const phone = { ...users.unverified.phone };
    const read = { userId, isMachine: false, isInitial: false, phone, sequence: '1' };
    return changes.resendBySms(read, deadline, () => Promise.resolve('sent')).catch(() => 'not sent');
  };
  await removeOf('one');
  await removeOf('another');
  clock.move(30);
  await removeOf('one');
  clock.move(30);
  await removeOf('a third');

  // If it were still stored, it would forbid SMS again when the clock goes back.
  vi.spyOn(performance, 'now').mockReturnValue(0);
  onTestFinished(() => void vi.restoreAllMocks());
  expect([await sendTo('one'), await sendTo('another')]).toEqual(['not sent', 'sent']);
});

test('shutdown waits for changes that wait for each other, even if their callers have hung up', async () => {
  await using stage = await openStage();
  const { zitadel } = stage;
  const answering = gate();
  zitadel.misbehaveWhenWriting({ hold: answering.opened });
  const removing = remove(stage, member);
  await zitadel.written(1);
  const hangUp = new AbortController();
  const hungUp = stage.resend({}, manager, hangUp.signal).catch(() => 'hung up');
  const resending = resend(stage);
  await zitadel.called(3);
  await reads(stage);
  hangUp.abort();

  const closing = stage.closeServer();
  answering.open();

  expect((await removing).errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  expect((await resending).errors).toBeUndefined();
  expect(await hungUp).toBe('hung up');
  await closing;
  expect(rpcsOf(zitadel.writes)).toEqual(['RemovePhone', 'ResendPhoneCode', 'ResendPhoneCode']);
});
