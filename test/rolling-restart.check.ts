import { mkdirSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { startFleet } from './support/fleet.js';
import { openKeepAliveBalancer } from './support/keep-alive-balancer.js';
import { openClients, population, wrongCode, type Cohort } from './support/phone-load.js';
import { startSentinels } from './support/redis-sentinel.js';
import { refusedFor } from './support/limited.js';
import { extensionsOf, resend, unverified } from './support/stage.js';

// Starts so many processes that it is not part of `npm test`. It writes its figures to test/artefacts/.

const processes = 6;
const guesses = 3;
const budget = 250;

/** No window opens again before a test ends, and no call fails because the machine is busy. */
const env = {
  SMS_LIMITS: '1/24h',
  VERIFY_LIMIT: `${guesses}/24h`,
  PHONE_HASH_KEY: 'the-same-in-all-processes',
  ZITADEL_TIMEOUT_MS: '60000',
};

/** Every answer that clients may get, by what they asked for. */
const expected: Record<string, string[]> = {
  'resend by SMS': ['OK', 'SMS_TO_USER', 'IN_PROGRESS', 'SMS_BUDGET'],
  set: ['OK', 'SMS_TO_NUMBER', 'IN_PROGRESS', 'SMS_BUDGET'],
  RETURN_CODE: ['OK'],
  'right code': ['OK'],
  'wrong code': ['INVALID_VERIFICATION_CODE', 'WRONG_CODES', 'IN_PROGRESS'],
  read: ['OK'],
  'router batch': ['OK'],
};

test('six processes restart one by one while their Redis fails over: no request is lost, and no SMS is too many', async () => {
  const everybody = population(4_000);
  await using redis = await startSentinels('the-master');
  await using zitadel = await startEmbeddedZitadel(everybody);
  const fleet = await startFleet(zitadel, processes, { ...env, SMS_BUDGET: `${budget}/24h`, REDIS_URL: redis.url });
  using balancer = openKeepAliveBalancer();
  for (const { url } of fleet.running) await balancer.add(url);
  const clients = openClients(everybody, (body, headers) => balancer.post(body, headers));
  const { people, requests } = clients;

  /** Starts a replacement for the oldest process. Once the balancer has noticed that the old one is not ready, it may end. */
  const replaceOldest = async (meanwhile = () => clients.answered(50)) => {
    const [old] = fleet.running;
    if (!old) throw new Error('There is no process.');
    await balancer.add((await fleet.add()).url);
    await fleet.remove(old, async () => {
      while (balancer.uses(old.url)) await clients.answered(1);
      await meanwhile();
    });
    balancer.remove(old.url);
    await clients.answered(100);
  };

  const before = clients.start();
  await clients.answered(200);
  await replaceOldest();
  await replaceOldest();

  const during = clients.start();
  await before.stop();
  await redis.replicated();
  const withoutRedis = [...fleet.running];
  await replaceOldest(async () => {
    withoutRedis.push(...fleet.running.filter((member) => !withoutRedis.includes(member)));
    await redis.killMaster();
    await fleet.notice('down');
    await clients.answered(100);
  });
  await redis.promoteReplica();
  await fleet.notice('up');

  const after = clients.start(before, during);
  await during.stop();
  await clients.answered(100);
  for (let restart = 3; restart < processes; restart += 1) await replaceOldest();
  await clients.answered(20, ({ result }) => result.includes('SMS_BUDGET'));
  await after.stop();
  for (const member of [...fleet.running]) await fleet.remove(member, () => Promise.resolve());
  fleet.leaveForLogTest();

  const smsTo = count(zitadel.outbox.map(({ userId }) => userId));
  const smsAt = count(zitadel.outbox.map(({ number }) => number));
  const guessesFor = count(
    zitadel.writes.flatMap(({ rpc, userId = '', body }) =>
      rpc === 'VerifyPhone' && body.includes(wrongCode) ? [userId] : [],
    ),
  );
  const downs = fleet.all.flatMap(({ downMs }) => downMs());
  const warnings = count(
    fleet.all.flatMap(({ lines }) =>
      lines().flatMap(({ level, msg }) => (['warn', 'error', 'fatal'].includes(level) ? [msg] : [])),
    ),
  );
  const smsIn = ({ called }: Cohort) => called.reduce((sum, { userId }) => sum + (smsTo[userId] ?? 0), 0);
  report({
    requests,
    smsSent: zitadel.outbox.length,
    smsWithoutRedis: smsIn(during),
    warnings,
    restarts: processes,
    downs,
  });

  // Nothing is lost.
  expect(balancer.lost).toEqual([]);
  expect(requests.filter(({ kind, result }) => !(expected[kind] ?? []).includes(result))).toEqual([]);
  expect(fleet.all.flatMap(({ lines }) => lines()).filter(({ level }) => ['error', 'fatal'].includes(level))).toEqual(
    [],
  );
  // Every process that ran when Redis went down noticed it once.
  expect(downs).toHaveLength(withoutRedis.length);
  // Exactly the SMS that were sent were reported to their callers.
  expect(smsTo).toEqual(Object.fromEntries(people.flatMap(({ userId, sms }) => (sms > 0 ? [[userId, sms]] : []))));
  // No SMS is too many, even after the restarts and the failover.
  for (const { userId } of [...before.called, ...after.called]) expect(smsTo[userId] ?? 0).toBeLessThanOrEqual(1);
  for (const { userId } of [...before.guessed, ...after.guessed])
    expect(guessesFor[userId] ?? 0).toBeLessThanOrEqual(guesses);
  for (const number of [...before.numbers, ...after.numbers]) expect(smsAt[number] ?? 0).toBeLessThanOrEqual(1);
  expect(smsIn(before) + smsIn(after)).toBeLessThanOrEqual(budget);
  // While Redis is down, each process limits on its own, and what the one that stops meanwhile has counted is lost.
  const atMost = withoutRedis.length + 1;
  for (const { userId } of during.called) expect(smsTo[userId] ?? 0).toBeLessThanOrEqual(atMost);
  for (const { userId } of during.guessed) expect(guessesFor[userId] ?? 0).toBeLessThanOrEqual(guesses * atMost);
});

test('an SMS that was sent without Redis still counts after its process has restarted', async () => {
  await using redis = await startSentinels('the-master');
  await using zitadel = await startEmbeddedZitadel();
  const fleet = await startFleet(zitadel, 2, { ...env, REDIS_URL: redis.url });
  const resendToEach = async () => {
    const all = [];
    for (const { url } of fleet.running) all.push(extensionsOf(await resend(url)));
    return all;
  };
  const refused = [expect.objectContaining(refusedFor('SMS_TO_USER'))];

  await redis.killMaster();
  await fleet.notice('down', fleet.running);
  // Without Redis, each process sends one, as docs/limits.md says.
  expect(await resendToEach()).toEqual([undefined, undefined]);
  await redis.promoteReplica();
  await fleet.notice('up');
  expect(await resendToEach()).toEqual([refused, refused]);
  expect(zitadel.outbox.map(({ userId }) => userId)).toEqual([unverified, unverified]);

  for (const member of [...fleet.running]) {
    await fleet.add();
    await fleet.remove(member, () => Promise.resolve());
  }
  expect(await resendToEach()).toEqual([refused, refused]);
  expect(zitadel.outbox).toHaveLength(2);
  for (const member of [...fleet.running]) await fleet.remove(member, () => Promise.resolve());
  fleet.leaveForLogTest();
});

function count(all: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const one of all) counts[one] = (counts[one] ?? 0) + 1;
  return counts;
}

interface Figures {
  requests: readonly { kind: string; result: string; ms: number }[];
  smsSent: number;
  smsWithoutRedis: number;
  warnings: Record<string, number>;
  restarts: number;
  downs: readonly number[];
}

/** The latencies depend on the machine, and are for information only. */
function report({ requests, smsSent, smsWithoutRedis, warnings, restarts, downs }: Figures): void {
  const byResult = count(requests.map(({ kind, result }) => `| ${kind} | ${result} |`));
  const times = requests.map(({ ms }) => ms).sort((one, other) => one - other);
  const quantile = (share: number) => Math.round(times[Math.floor(times.length * share)] ?? 0);
  const lines = [
    `${requests.length} requests, ${restarts} restarts, ${smsSent} SMS, ${smsWithoutRedis} of them to users who asked for one around the failover.`,
    `Redis was down for ${downs.map((ms) => (ms / 1000).toFixed(1)).join(', ')} s, as seen by each process.`,
    `p50 ${quantile(0.5)} ms, p99 ${quantile(0.99)} ms.`,
    ['| Asked for | Answer | Times |', '| --- | --- | --: |', ...rows(byResult)].join('\n'),
    ['| Warning | Times |', '| --- | --: |', ...rows(warnings)].join('\n'),
  ];
  mkdirSync('test/artefacts', { recursive: true });
  writeFileSync('test/artefacts/rolling-restart.md', `# Rolling restart\n\n${lines.join('\n\n')}\n`);
}

function rows(counts: Record<string, number>): string[] {
  const sorted = Object.entries(counts).sort(([one], [other]) => (one < other ? -1 : 1));
  return sorted.map(([key, times]) => `${key.startsWith('|') ? key : `| ${key} |`} ${times} |`);
}
