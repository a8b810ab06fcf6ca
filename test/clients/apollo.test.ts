import { readFileSync } from 'node:fs';
import {
  ApolloClient,
  CombinedGraphQLErrors,
  gql,
  HttpLink,
  InMemoryCache,
  type TypedDocumentNode,
} from '@apollo/client';
import { RetryLink } from '@apollo/client/link/retry';
import { OperationTypeNode } from 'graphql';
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

// Apollo Client with the documents of schema/operations/. Its cache has no configuration.

const document = <Name extends OperationName>(
  name: Name,
): TypedDocumentNode<OperationData[Name], Record<string, string>> =>
  gql(readFileSync(`schema/operations/${name}.graphql`, 'utf8'));

/** A frontend that shows the phone. */
async function openScreen(uri: string, retry?: RetryLink) {
  const sent: string[] = [];
  const http = new HttpLink({
    uri,
    headers: manager,
    fetch: (url, options) => {
      sent.push((JSON.parse(options?.body as string) as { operationName: string }).operationName);
      return fetch(url, options);
    },
  });
  const client = new ApolloClient({ cache: new InMemoryCache(), link: retry?.concat(http) ?? http });
  onTestFinished(() => client.stop());
  const warnings = silenceConsole();
  let shown: Phone | undefined;
  client
    .watchQuery({ query: document('contact-phone'), variables: { userId } })
    .subscribe(
      ({ data, dataState }) => (shown = dataState === 'complete' ? data.contactPhoneUser?.contactPhone : shown),
    );
  await until(() => Promise.resolve(shown !== undefined));
  return {
    client,
    shown: () => shown,
    run: (name: OperationName, variables: Record<string, string>) =>
      client.mutate({ mutation: document(name), variables }),
    /** The operations that it sent. */
    sent,
    warnings,
  };
}

/** What `contactPhoneFailure` finds in the error that this throws. */
const failureOf = (failing: Promise<unknown>) =>
  failing.then(
    () => expect.unreachable(),
    (error: unknown) => ({ error, failure: contactPhoneFailure(error) }),
  );

test('shows what is true after each step, without another read', async () => {
  const clock = stopClock();
  await using stage = await openStage({ SMS_LIMITS: oneInHalfAMinute });
  const screen = await openScreen(stage.graphql);

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

/** An optimistic response of a mutation that changes a phone. It invents no `details`. */
const changed = (__typename: string, phone: Phone) => ({
  __typename,
  user: { __typename: 'User', id: userId, contactPhone: phone && { __typename: 'ContactPhone', ...phone } },
});

test('shows a phone as verified, and as removed, before ZITADEL answers', async () => {
  await using stage = await openStage();
  const screen = await openScreen(stage.graphql);
  await screen.run('set-contact-phone', { userId, number });
  const phone = screen.shown();
  expect(phone).toMatchObject({ number, isVerified: false });
  const verified = { number, isVerified: true, resendAvailableAt: null };
  const verifyContactPhone = changed('VerifyContactPhoneResult', verified);
  const verify = (verificationCode = '') =>
    screen.client.mutate({
      mutation: document('verify-contact-phone'),
      variables: { userId, verificationCode },
      optimisticResponse: { verifyContactPhone },
    });

  // A wrong code: the phone is shown as unverified again.
  const refusing = gate();
  stage.zitadel.misbehaveWhenWriting({ hold: refusing.opened });
  const refused = failureOf(verify('WRONG1'));
  expect(screen.shown()).toMatchObject(verified);
  refusing.open();
  expect((await refused).failure).toMatchObject({ code: 'INVALID_VERIFICATION_CODE', outcome: 'NOT_DONE' });
  expect(screen.shown()).toEqual(phone);

  const verifying = gate();
  stage.zitadel.misbehaveWhenWriting({ hold: verifying.opened });
  const answer = verify(stage.zitadel.pendingCode(userId));
  expect(screen.shown()).toMatchObject(verified);
  verifying.open();
  await answer;
  expect(screen.shown()).toMatchObject(verified);

  const removing = gate();
  stage.zitadel.misbehaveWhenWriting({ hold: removing.opened });
  const removed = screen.client.mutate({
    mutation: document('remove-contact-phone'),
    variables: { userId },
    optimisticResponse: { removeContactPhone: changed('RemoveContactPhoneResult', null) },
  });
  expect(screen.shown()).toBeNull();
  removing.open();
  await removed;
  expect(screen.shown()).toBeNull();
  expect(screen.sent.filter((name) => name === 'ContactPhone')).toHaveLength(1);
  expect(screen.warnings()).toEqual([]);
});

test('throws an error in which contactPhoneFailure finds the failure', async () => {
  stopClock();
  await using stage = await openStage({ SMS_LIMITS: oneInHalfAMinute, VERIFY_LIMIT: '5/10m' });
  const screen = await openScreen(stage.graphql);
  await screen.run('set-contact-phone', { userId, number });
  const phone = screen.shown();

  const wrong = await failureOf(screen.run('verify-contact-phone', { userId, verificationCode: 'WRONG1' }));
  const soon = await failureOf(screen.run('resend-contact-phone-code', { userId }));

  expect(wrong.error).toBeInstanceOf(CombinedGraphQLErrors);
  expect(wrong.failure).toMatchObject({ code: 'INVALID_VERIFICATION_CODE', outcome: 'NOT_DONE', attemptsLeft: 4 });
  expect(soon.failure).toMatchObject({
    code: 'RATE_LIMITED',
    reason: 'SMS_TO_USER',
    outcome: 'NOT_DONE',
    retryAfter: 30,
  });
  expect(screen.shown()).toEqual(phone);
});

/** As docs/frontend.md shows it. */
const retryQueries = () =>
  new RetryLink({ attempts: { retryIf: (_, { operationType }) => operationType === OperationTypeNode.QUERY } });

test('repeats a query whose answer is lost, but not a mutation', async () => {
  await using stage = await openStage();
  await using balancer = await openBalancer(stage.graphql);
  balancer.disturb('lost');
  const screen = await openScreen(balancer.url, retryQueries());
  expect(screen.shown()).toBeNull();
  expect(screen.sent).toEqual(['ContactPhone', 'ContactPhone']);

  balancer.disturb('lost');
  const { failure } = await failureOf(screen.run('set-contact-phone', { userId, number }));

  expect(failure).toMatchObject({ code: 'UNKNOWN', outcome: 'UNKNOWN' });
  expect(stage.zitadel.writes).toHaveLength(1);
  // The phone is unknown until it is read again.
  expect(screen.shown()).toBeNull();
  await screen.client.refetchQueries({ include: ['ContactPhone'] });
  expect(screen.shown()).toMatchObject({ number, isVerified: false });
});

test('with a RetryLink for mutations, sends two SMS and reports a removal as failed', async () => {
  await using stage = await openStage();
  await using balancer = await openBalancer(stage.graphql);
  const screen = await openScreen(balancer.url, new RetryLink());
  await screen.run('set-contact-phone', { userId, number });
  expect(stage.zitadel.outbox).toHaveLength(1);

  balancer.disturb('lost');
  await screen.run('resend-contact-phone-code', { userId });
  balancer.disturb('lost');
  const { failure } = await failureOf(screen.run('remove-contact-phone', { userId }));

  expect(stage.zitadel.outbox).toHaveLength(3);
  expect(failure).toMatchObject({ code: 'FAILED_PRECONDITION', reason: 'NO_PHONE', outcome: 'NOT_DONE' });
  expect(stage.rpcs().filter((rpc) => rpc === 'RemovePhone')).toHaveLength(2);
});

test('needs the same fields of the phone in each document: with fewer, it warns, and reads the phone again', async () => {
  await using stage = await openStage();
  const screen = await openScreen(stage.graphql);
  await screen.run('set-contact-phone', { userId, number });
  const mutation = gql`
    mutation VerifyWithoutNumber($userId: ID!, $verificationCode: VerificationCode!) {
      verifyContactPhone(userId: $userId, verificationCode: $verificationCode) {
        user {
          id
          contactPhone {
            isVerified
          }
        }
      }
    }
  `;

  await screen.client.mutate({ mutation, variables: { userId, verificationCode: stage.zitadel.pendingCode(userId) } });
  await until(() => Promise.resolve(screen.shown()?.isVerified === true));

  expect(screen.sent).toEqual(['ContactPhone', 'SetContactPhone', 'VerifyWithoutNumber', 'ContactPhone']);
  expect(screen.warnings()).toEqual([expect.arrayContaining([expect.stringMatching(/^Cache data may be lost/)])]);
});

test('does not learn of a change through contactPhone(userId), which has no identity', async () => {
  await using stage = await openStage();
  const { client, run } = await openScreen(stage.graphql);
  const query = gql('query Phone($userId: ID!) { contactPhone(userId: $userId) { number } }');
  const phone = { query, variables: { userId } };
  await client.query(phone);

  await run('set-contact-phone', { userId, number });

  expect(client.readQuery(phone)).toEqual({ contactPhone: null });
});
