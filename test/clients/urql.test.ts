import { readFileSync } from 'node:fs';
import {
  cacheExchange,
  Client,
  CombinedError,
  fetchExchange,
  gql,
  type Exchange,
  type TypedDocumentNode,
} from '@urql/core';
import { cacheExchange as graphcache } from '@urql/exchange-graphcache';
import { expect, onTestFinished, test } from 'vitest';
import { contactPhoneFailure } from '../../src/errors.js';
import { openBalancer } from '../support/balancer.js';
import { stopClock } from '../support/clock.js';
import { gate } from '../support/gate.js';
import {
  checkJourney,
  number,
  oneInHalfAMinute,
  rpcsOfJourney,
  silenceConsole,
  userId,
} from '../support/phone-screen.js';
import { manager, openStage, type OperationData, type OperationName, type Phone } from '../support/stage.js';
import { until } from '../support/until.js';

// urql with the documents of schema/operations/, and with each of its caches.

const document = <Name extends OperationName>(
  name: Name,
): TypedDocumentNode<OperationData[Name], Record<string, string>> =>
  gql(readFileSync(`schema/operations/${name}.graphql`, 'utf8'));

const keys = { ContactPhone: () => null };

/** A frontend that shows the phone. */
async function openScreen(url: string, cache: Exchange) {
  const sent: string[] = [];
  const client = new Client({
    url,
    exchanges: [cache, fetchExchange],
    preferGetMethod: false,
    fetchOptions: { headers: manager },
    fetch: (input, init) => {
      sent.push((JSON.parse(init?.body as string) as { operationName: string }).operationName);
      return fetch(input, init);
    },
  });
  const warnings = silenceConsole();
  let shown: Phone | undefined;
  let answers = 0;
  const watched = client.query(document('contact-phone'), { userId }).subscribe(({ data, stale }) => {
    shown = data?.contactPhoneUser?.contactPhone;
    if (!stale) answers += 1;
  });
  onTestFinished(() => watched.unsubscribe());
  await until(() => Promise.resolve(answers > 0));
  return {
    client,
    shown: () => shown,
    /** How often the screen got an answer to its query. */
    answers: () => answers,
    async run(name: OperationName, variables: Record<string, string>) {
      const { error } = await client.mutation(document(name), variables).toPromise();
      if (error) throw error;
    },
    /** The operations that it sent. */
    sent,
    warnings,
  };
}

test('with Graphcache, shows what is true after each step, without another read', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: oneInHalfAMinute });
  const screen = await openScreen(stage.graphql, graphcache({ keys }));

  await checkJourney(screen, stage, clock);

  expect(screen.sent).toEqual([
    'ContactPhone',
    'SetContactPhone',
    'ResendContactPhoneCode',
    'VerifyContactPhone',
    'RemoveContactPhone',
  ]);
  expect(stage.rpcs()).toEqual(rpcsOfJourney);
  expect(screen.warnings()).toEqual([]);
});

test('Graphcache warns once if it is not configured that a phone has no id', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: oneInHalfAMinute });
  const screen = await openScreen(stage.graphql, graphcache());

  await checkJourney(screen, stage, clock);

  expect(screen.warnings()).toEqual([[expect.stringMatching(/create a `keys` config for `ContactPhone`/)]]);
});

test('with Graphcache, shows a phone as removed before ZITADEL answers', async () => {
  await using stage = await openStage();
  const optimistic = {
    removeContactPhone: () => ({
      __typename: 'RemoveContactPhoneResult',
      user: { __typename: 'User', id: userId, contactPhone: null },
    }),
  };
  const screen = await openScreen(stage.graphql, graphcache({ keys, optimistic }));
  await screen.run('set-contact-phone', { userId, number });
  expect(screen.shown()).toMatchObject({ number });
  const removing = gate();
  stage.zitadel.misbehaveWhenWriting({ hold: removing.opened });

  const removed = screen.run('remove-contact-phone', { userId });
  await stage.zitadel.written(2);
  expect(screen.shown()).toBeNull();
  removing.open();
  await removed;

  expect(screen.shown()).toBeNull();
  expect(screen.warnings()).toEqual([]);
});

test('with the document cache, reads the phone again after each step, also if there was none', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: oneInHalfAMinute });
  const screen = await openScreen(stage.graphql, cacheExchange);
  const run: typeof screen.run = async (...step) => {
    const before = screen.answers();
    await screen.run(...step);
    await until(() => Promise.resolve(screen.answers() > before));
  };

  await checkJourney({ ...screen, run }, stage, clock);

  const read = 'ContactPhone';
  expect(screen.sent).toEqual([
    ...[read, 'SetContactPhone'],
    ...[read, 'ResendContactPhoneCode'],
    ...[read, 'VerifyContactPhone'],
    ...[read, 'RemoveContactPhone', read],
  ]);
  expect(screen.warnings()).toEqual([]);
});

test('the document cache does not learn of the first phone through contactPhone(userId), which has no identity', async () => {
  await using stage = await openStage();
  const screen = await openScreen(stage.graphql, cacheExchange);
  const query = gql('query Phone($userId: ID!) { contactPhone(userId: $userId) { number } }');
  await screen.client.query(query, { userId }).toPromise();

  await screen.run('set-contact-phone', { userId, number });

  expect((await screen.client.query(query, { userId }).toPromise()).data).toEqual({ contactPhone: null });
});

test('finds the failure in its errors, and repeats no mutation', async () => {
  await using stage = await openStage({ VERIFY_LIMIT: '5/10m' });
  await using balancer = await openBalancer(stage.graphql);
  const screen = await openScreen(balancer.url, graphcache({ keys }));
  await screen.run('set-contact-phone', { userId, number });
  const failureOf = async (name: OperationName, verificationCode: string) => {
    const error: unknown = await screen.run(name, { userId, verificationCode }).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(CombinedError);
    return contactPhoneFailure(error);
  };

  expect(await failureOf('verify-contact-phone', 'WRONG1')).toMatchObject({
    code: 'INVALID_VERIFICATION_CODE',
    outcome: 'NOT_DONE',
    attemptsLeft: 4,
  });
  for (const disturbance of ['lost', 'late'] as const) {
    balancer.disturb(disturbance);
    expect(await failureOf('resend-contact-phone-code', '')).toMatchObject({ code: 'UNKNOWN', outcome: 'UNKNOWN' });
  }
  expect(stage.zitadel.outbox).toHaveLength(3);
});

test('sends queries by GET, which this server refuses, unless preferGetMethod is false', async () => {
  await using stage = await openStage();
  const client = new Client({ url: stage.graphql, exchanges: [fetchExchange], fetchOptions: { headers: manager } });

  const { error } = await client.query(document('contact-phone'), { userId }).toPromise();

  expect(error?.message).toMatch(/Use POST/);
  expect(contactPhoneFailure(error)).toMatchObject({ code: 'BAD_REQUEST', outcome: 'NOT_DONE' });
  expect(stage.rpcs()).toEqual([]);
});
