import { expect, test } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import { stopClock } from './support/clock.js';
import { crowd } from './support/crowd.js';
import { limited, openLine } from './support/line.js';
import { extensionsOf, manager, openStage, post, unverified } from './support/stage.js';

// `ContactPhone.resendAvailableAt`: when the limits per user allow another SMS.

interface Shown {
  contactPhone: { resendAvailableAt: string | null } | null;
}

type Stage = Pick<Awaited<ReturnType<typeof openStage>>, 'graphql'>;

async function availableAt({ graphql }: Stage, userId: string = unverified): Promise<string | null | undefined> {
  const query = 'query ($userId: ID!) { contactPhone(userId: $userId) { resendAvailableAt } }';
  const { data, errors } = await post<Shown>(graphql, { query, variables: { userId } }, manager);
  expect(errors).toBeUndefined();
  return data?.contactPhone?.resendAvailableAt;
}

async function allAvailableAt({ graphql }: Stage, ids: readonly string[]) {
  const query = `query ($representations: [_Any!]!) {
    _entities(representations: $representations) { ... on User { contactPhone { resendAvailableAt } } }
  }`;
  const representations = ids.map((id) => ({ __typename: 'User', id }));
  const { data, errors } = await post<{ _entities: Shown[] }>(
    graphql,
    { query, variables: { representations } },
    manager,
  );
  expect(errors).toBeUndefined();
  return data?._entities.map(({ contactPhone }) => contactPhone?.resendAvailableAt);
}

test('is null before an SMS, and again once another one may be sent', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: '1/30s,2/10m' });
  expect(await availableAt(stage)).toBeNull();

  const sent = await stage.resend();
  const first = clock.in(30);
  expect(sent.data?.resendContactPhoneCode?.resendAvailableAt).toBe(first);
  clock.move(29.999);
  expect(await availableAt(stage)).toBe(first);
  clock.move(0.001);
  expect(await availableAt(stage)).toBeNull();

  expect((await stage.resend()).errors).toBeUndefined();
  expect(await availableAt(stage)).toBe(clock.in(570));
  expect(extensionsOf(await stage.resend())).toEqual(limited(570));
  // It follows the user to their next phone.
  await stage.run('set-contact-phone', { userId: unverified, number: '+41795550101', mode: 'MARK_VERIFIED' });
  expect(await availableAt(stage)).toBe(clock.in(570));
});

test('is null if there are no limits per user, even if there are others', async () => {
  await using stage = await openStage({ SMS_LIMITS: 'off', SMS_LIMITS_PER_NUMBER: '1/30s', SMS_BUDGET: '1/1h' });

  const sent = await stage.resend();

  expect(sent.data?.resendContactPhoneCode?.resendAvailableAt).toBeNull();
  expect(await availableAt(stage)).toBeNull();
});

test("ignores the limits of the number, which would reveal other users' SMS", async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: '1/30s', SMS_LIMITS_PER_NUMBER: '1/1h' });
  const { userId } = users.verified;
  expect((await stage.resend()).errors).toBeUndefined();
  const { number } = users.unverified.phone;

  const returned = await stage.run('set-contact-phone', { userId, number, mode: 'RETURN_CODE' });

  expect(returned.errors).toBeUndefined();
  expect(extensionsOf(await stage.resend({ userId }))).toEqual(limited(3_600, 'SMS_TO_NUMBER'));
  expect(await availableAt(stage, userId)).toBeNull();
  expect(await availableAt(stage)).toBe(clock.in(30));
});

test('assumes that an SMS in flight will be sent', async () => {
  await using line = await openLine();
  const [writing] = line.holdWrites(1);

  const sending = line.resend();
  await line.zitadel.written(1);
  expect(await availableAt(line)).toBe(line.clock.in(30));
  line.clock.move(10);
  expect(await availableAt(line)).toBe(line.clock.in(30));
  writing?.open();

  expect((await sending).errors).toBeUndefined();
  line.clock.move(10);
  expect(await availableAt(line)).toBe(line.clock.in(20));
});

test('is also in the results of mutations, without another read of the user', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: '' });
  const query = `mutation ($userId: ID!) {
    setContactPhone(userId: $userId, number: "+41795550101") {
      resendAvailableAt user { contactPhone { number resendAvailableAt } }
    }
  }`;

  const { data } = await post(stage.graphql, { query, variables: { userId: unverified } }, manager);

  const resendAvailableAt = clock.in(30);
  expect(data).toEqual({
    setContactPhone: {
      resendAvailableAt,
      user: { contactPhone: { number: '+41795550101', resendAvailableAt } },
    },
  });
  expect(stage.rpcs()).toEqual(['GetUserByID', 'SetPhone']);
});

test('is shown for each of 100 users', async () => {
  const clock = stopClock();
  const people = crowd(100).map((person) => ({ ...person, phone: { ...person.phone, isVerified: false } }));
  const ids = people.map(({ userId }) => userId);
  await using stage = await openStage({ SMS_LIMITS: '' }, { moreUsers: people });
  const [userId] = ids.slice(41);
  expect((await stage.resend({ userId })).errors).toBeUndefined();

  const shown = await allAvailableAt(stage, ids);
  expect(shown).toEqual(ids.map((id) => (id === userId ? clock.in(30) : null)));
  expect(stage.rpcs().slice(2)).toEqual(['ListUsers']);
});

test('is the same wherever a user appears in one request', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: '' });
  expect((await stage.resend()).errors).toBeUndefined();

  const shown = await allAvailableAt(stage, Array<string>(5_000).fill(unverified));

  expect(new Set(shown)).toEqual(new Set([clock.in(30)]));
  // The next request looks it up again.
  clock.move(30);
  expect(await allAvailableAt(stage, [unverified, unverified])).toEqual([null, null]);
});
