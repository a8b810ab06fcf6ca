import { describe, expect, test } from 'vitest';
import { tokens, users, type EmbeddedToken } from '../src/embedded-zitadel/population.js';
import { allAtOnce, numbersTo } from './support/at-once.js';
import { crowd } from './support/crowd.js';
import { hasRedis } from './support/has-redis.js';
import { errorsOf, guessesOf, reasonsOf, refusedFor, set, verify } from './support/limited.js';
import { startProcesses } from './support/processes.js';
import { startCluster } from './support/redis-cluster.js';
import { startRedis } from './support/redis.js';
import { bearer, openStage, resend, unverified } from './support/stage.js';
import { within } from './support/two-servers.js';

const self = bearer(tokens.self.token);

/** Tokens that differ only in the last characters may be the same to ZITADEL, so the index comes first. */
const tokenOf = (index: number, whose: string) => `${String(index).padStart(4, '0')}-token-of-${whose}`;
const tokensOf = (
  count: number,
  whose: string,
  more: (index: number) => Pick<EmbeddedToken, 'userId' | 'memberships'>,
) => Array.from({ length: count }, (_, index) => ({ description: '', token: tokenOf(index, whose), ...more(index) }));

/** The timeout is long, since three processes may make a machine slow. */
const shared = { PHONE_HASH_KEY: 'the-same-in-all-processes', SMS_LIMITS: '1/10m', ZITADEL_TIMEOUT_MS: '60000' };

/** In each of the three, one call is in flight for a user or a number, and eight wait for its outcome. */
const maxInLine = 3 * (1 + 8);

const manyUsers = crowd(600);
const unverifiedOnes = manyUsers.filter(({ phone }) => !phone.isVerified);
const population = {
  moreUsers: manyUsers,
  moreTokens: [
    ...tokensOf(300, 'the-user', () => ({ userId: unverified, memberships: {} })),
    ...tokensOf(200, 'one-of-many', (index) => ({ userId: manyUsers[index]?.userId ?? '', memberships: {} })),
    ...tokensOf(50, 'a-stranger', () => ({ userId: '302000000000000900', memberships: {} })),
  ],
};

describe.runIf(hasRedis)('three processes with one Redis', () => {
  test('send one SMS for 300 tokens of a user, one for 200 accounts with one number, and try five codes of 50 strangers', async () => {
    await using redis = await startRedis();
    await using upstream = await openStage({}, population);
    const { zitadel } = upstream;
    const env = { ...shared, REDIS_URL: redis.url };
    const processes = await startProcesses(zitadel, [env, env, env]);
    const { urlOf } = processes;
    const one = { reaching: 1, waiting: maxInLine - 1 };

    const ofUser = await allAtOnce(zitadel, numbersTo(300), one, (index) =>
      resend(urlOf(index), {}, bearer(tokenOf(index, 'the-user'))),
    );
    expect(zitadel.outbox).toHaveLength(1);
    expect(errorsOf(ofUser)).toHaveLength(299);
    expect(reasonsOf(ofUser.slice(0, 300 - maxInLine))).toEqual(['IN_PROGRESS']);
    expect(reasonsOf(ofUser)).toContain('SMS_TO_USER');
    for (const index of [0, 1, 2]) {
      const { errors } = await resend(urlOf(index));
      expect(errors).toMatchObject([{ extensions: { ...refusedFor('SMS_TO_USER'), retryAfter: within(600) } }]);
    }

    const number = '+41795550101';
    const toNumber = await allAtOnce(zitadel, numbersTo(200), one, (index) =>
      set(urlOf(index), manyUsers[index]?.userId ?? '', number, bearer(tokenOf(index, 'one-of-many'))),
    );
    expect(zitadel.outbox.map((sms) => sms.number)).toEqual([users.unverified.phone.number, number]);
    expect(errorsOf(toNumber)).toHaveLength(199);
    expect(reasonsOf(toNumber.slice(0, 200 - maxInLine))).toEqual(['IN_PROGRESS']);
    expect(reasonsOf(toNumber)).toContain('SMS_TO_NUMBER');
    for (const index of [0, 1, 2]) {
      const { errors } = await set(urlOf(index), unverifiedOnes[200]?.userId ?? '', number);
      expect(errors).toMatchObject([{ extensions: { ...refusedFor('SMS_TO_NUMBER'), retryAfter: within(600) } }]);
    }

    const guess = (index: number) => verify(urlOf(index), bearer(tokenOf(index, 'a-stranger')));
    const guesses = await allAtOnce(zitadel, numbersTo(50), { reaching: 5 }, guess);
    expect(guessesOf(zitadel)).toHaveLength(5);
    expect(reasonsOf(guesses.slice(0, 45))).toEqual(['IN_PROGRESS']);
    const again = [];
    for (let index = 0; index < 50; index += 1) again.push(await guess(index));
    expect(reasonsOf(again)).toEqual(['WRONG_CODES']);
    expect(guessesOf(zitadel)).toHaveLength(5);
    // The strangers did not lock the user out.
    const own = await verify(urlOf(1), self, zitadel.pendingCode(unverified));
    expect(own.errors).toBeUndefined();
    await processes.end();
    expect(processes.logged('PHONE_HASH_KEY is not set')).toEqual([0, 0, 0]);
  });

  test('send exactly as many SMS as the budget allows', async () => {
    await using redis = await startRedis();
    await using upstream = await openStage({}, population);
    const { zitadel } = upstream;
    const env = { ...shared, REDIS_URL: redis.url, SMS_BUDGET: '10/1h' };
    const processes = await startProcesses(zitadel, [env, env, env]);

    const answers = await allAtOnce(zitadel, numbersTo(300), { reaching: 10 }, (index) =>
      resend(processes.urlOf(index), { userId: unverifiedOnes[index]?.userId }),
    );

    expect(zitadel.outbox).toHaveLength(10);
    // When these were refused, the ten were still in flight.
    expect(errorsOf(answers)).toHaveLength(290);
    expect(reasonsOf(answers)).toEqual(['IN_PROGRESS']);
    for (const index of [0, 1, 2]) {
      const { errors } = await resend(processes.urlOf(index));
      expect(errors).toMatchObject([{ extensions: { ...refusedFor('SMS_BUDGET'), retryAfter: within(3_660) } }]);
    }
    await processes.end();
    // Each process warns once.
    expect(processes.logged('SMS_BUDGET is used up')).toEqual([1, 1, 1]);
  });

  test('without PHONE_HASH_KEY, each send one SMS to a number, and warn about that once', async () => {
    await using redis = await startRedis();
    await using upstream = await openStage({}, population);
    const { zitadel } = upstream;
    const env = { ...shared, REDIS_URL: redis.url, PHONE_HASH_KEY: '' };
    const processes = await startProcesses(zitadel, [env, env, env]);

    const answers = await allAtOnce(zitadel, numbersTo(200), { reaching: 3, waiting: maxInLine - 3 }, (index) =>
      set(
        processes.urlOf(index),
        manyUsers[index]?.userId ?? '',
        '+41795550101',
        bearer(tokenOf(index, 'one-of-many')),
      ),
    );

    expect(zitadel.outbox).toHaveLength(3);
    expect(errorsOf(answers)).toHaveLength(197);
    await processes.end();
    expect(processes.logged('PHONE_HASH_KEY is not set')).toEqual([1, 1, 1]);
  });
});

test.runIf(hasRedis)(
  'three processes, each connected to another node of a Redis Cluster, send no second SMS',
  async () => {
    await using cluster = await startCluster();
    await using upstream = await openStage({}, population);
    const { zitadel } = upstream;
    const env = { ...shared, SMS_BUDGET: '1000/1h,CH:500/1h' };
    const processes = await startProcesses(
      zitadel,
      cluster.urls.map((url) => ({ ...env, REDIS_URL: url })),
    );
    const { urlOf } = processes;

    const ofUser = await allAtOnce(zitadel, numbersTo(300), { reaching: 1, waiting: maxInLine - 1 }, (index) =>
      resend(urlOf(index), {}, bearer(tokenOf(index, 'the-user'))),
    );
    expect(zitadel.outbox).toHaveLength(1);
    expect(errorsOf(ofUser)).toHaveLength(299);

    const thirty = unverifiedOnes.slice(0, 30);
    const send = (server: number) =>
      Promise.all(thirty.map(({ userId }, index) => resend(urlOf(index + server), { userId })));
    expect(errorsOf(await send(0))).toEqual([]);
    for (const server of [1, 2]) {
      const second = await send(server);
      expect(errorsOf(second)).toHaveLength(30);
      expect(reasonsOf(second)).toEqual(['SMS_TO_USER']);
    }
    expect(zitadel.outbox).toHaveLength(31);
    await processes.end();
  },
);
