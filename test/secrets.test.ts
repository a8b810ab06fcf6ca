import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import { startChild } from './support/child.js';
import { crowd } from './support/crowd.js';
import { hasRedis } from './support/has-redis.js';
import { refusedFor, set } from './support/limited.js';
import { startSteadyLoad } from './support/steady-load.js';
import { patiently } from './support/processes.js';
import { linesOf, listening, main, openProduction } from './support/production.js';
import { ask, startRedis } from './support/redis.js';
import { manager, openStage, resend } from './support/stage.js';
import { redisIs } from './support/two-servers.js';
import { until } from './support/until.js';

const folder = mkdtempSync(join(tmpdir(), 'contact-phone-secrets-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A file with a line break at its end, as editors write it. */
function secretFile(name: string, first: string) {
  const path = join(folder, name);
  const write = (text: string) => writeFileSync(path, `${text}\n`);
  write(first);
  return { path, write };
}

const routerOf = (secret: string) => ({ ...manager, 'x-router-secret': secret });
const [oldSecret, newSecret] = ['S3CR3T-of-the-router', 'S3CR3T-of-tomorrow'];
const [oldKey, newKey] = ['S3CR3T-of-the-numbers', 'S3CR3T-of-new-numbers'];

describe.runIf(hasRedis)('with secrets in files', () => {
  test('a rotation of all of them under load refuses no request, and forgets no SMS', async () => {
    await using redis = await startRedis();
    const { port, host } = new URL(redis.url);
    const redisUrl = (password: string) => `redis://subgraph:${password}@${host}/0`;
    const rules = ['~*', '+@all', '>S3CR3T-of-old-redis'];
    await redis.setUser('subgraph', ...rules);
    const router = secretFile('router', oldSecret);
    const redisFile = secretFile('redis', redisUrl('S3CR3T-of-old-redis'));
    const numbers = secretFile('numbers', oldKey);
    const many = crowd(40);
    await using production = await openProduction(
      {
        ROUTER_SECRETS_FILE: router.path,
        REDIS_URL_FILE: redisFile.path,
        PHONE_HASH_KEY_FILE: numbers.path,
        SMS_LIMITS: '1/10m',
        // Three steps and a busy machine.
        ZITADEL_TIMEOUT_MS: '60000',
      },
      ['--import', patiently, main],
      { moreUsers: many },
    );
    const { server, url, zitadel } = production;
    await redisIs('up', url);
    const first = await set(url, users.phoneless.userId, '+41795550101', routerOf(oldSecret));
    expect(first.errors).toBeUndefined();

    let secret = oldSecret;
    let sent = 0;
    const load = startSteadyLoad(8, async (worker) => {
      sent += 1;
      const answer = await resend(
        url,
        { userId: many[(worker * 2 + 1) % many.length]?.userId, mode: 'RETURN_CODE' },
        routerOf(secret),
      );
      return answer.status === 200 && !answer.errors ? undefined : answer.text;
    });
    /** Rotates, and resolves when each caller has sent a request and got its answer since. */
    const rotated = async (times: number) => {
      server.kill('SIGHUP');
      await server.printed(new RegExp(`(SIGHUP received: using[^]*){${times}}`));
      await load.round();
    };
    await load.round();

    router.write(`${oldSecret},${newSecret}`);
    await rotated(1);
    secret = newSecret;
    await load.round();
    router.write(newSecret);
    await rotated(2);

    await redis.setUser('subgraph', ...rules, '>S3CR3T-of-new-redis');
    redisFile.write(redisUrl('S3CR3T-of-new-redis'));
    numbers.write(`${newKey},${oldKey}`);
    await rotated(3);
    await ask(Number(port), 'ACL', 'SETUSER', 'subgraph', '<S3CR3T-of-old-redis');
    await until(async () => (await redis.clients()) === 1);
    await load.round();

    expect(await load.stop()).toEqual([]);
    expect(zitadel.writes.filter(({ rpc }) => rpc === 'ResendPhoneCode')).toHaveLength(sent);
    // Both limits still count the SMS before the rotation.
    const again = await set(url, users.phoneless.userId, '+41795550102', routerOf(newSecret));
    expect(again.errors).toMatchObject([{ extensions: refusedFor('SMS_TO_USER') }]);
    const other = await set(url, users.verified.userId, '+41795550101', routerOf(newSecret));
    expect(other.errors).toMatchObject([{ extensions: refusedFor('SMS_TO_NUMBER') }]);
    expect(zitadel.outbox).toHaveLength(1);
    expect((await resend(url, {}, routerOf(oldSecret))).status).toBe(403);
    server.kill('SIGTERM');
    expect(await server.exited).toBe(0);
    const lines = linesOf(server).filter(({ msg }) => /SIGHUP|Redis is/.test(msg));
    expect(lines.map(({ msg, changed }) => [msg.slice(0, 21), changed])).toEqual([
      ['Redis is up: limits a', undefined],
      ['SIGHUP received: usin', ['ROUTER_SECRETS']],
      ['SIGHUP received: usin', ['ROUTER_SECRETS']],
      ['SIGHUP received: usin', ['PHONE_HASH_KEY', 'REDIS_URL']],
    ]);
  });

  test('a rotation that cannot work changes nothing, and logs why without a secret', async () => {
    await using redis = await startRedis();
    const router = secretFile('router', oldSecret);
    const redisFile = secretFile('redis', redis.url);
    await using production = await openProduction({ ROUTER_SECRETS_FILE: router.path, REDIS_URL_FILE: redisFile.path });
    const { server, url } = production;
    await redisIs('up', url);
    const changedNothing = async (times: number) => {
      server.kill('SIGHUP');
      await server.printed(new RegExp(`(SIGHUP received: the secrets could not[^]*){${times}}`));
      expect((await resend(url, { mode: 'RETURN_CODE' }, routerOf(newSecret))).status).toBe(403);
      expect((await resend(url, { mode: 'RETURN_CODE' }, routerOf(oldSecret))).errors).toBeUndefined();
      await redisIs('up', url);
    };

    router.write(newSecret);
    redisFile.write('redis:S3CR3T@localhost');
    await changedNothing(1);
    redisFile.write(redis.url.replace(/:[^:@]*@/, ':S3CR3T@'));
    await changedNothing(2);
    redisFile.write(redis.url);
    server.kill('SIGHUP');
    await server.printed(/SIGHUP received: using/);
    expect((await resend(url, { mode: 'RETURN_CODE' }, routerOf(newSecret))).errors).toBeUndefined();
    server.kill('SIGHUP');
    await server.printed(/SIGHUP received: no secret has changed/);

    const errors = linesOf(server).flatMap(({ msg, err }) => (msg.includes('could not') ? [err] : []));
    expect(errors).toMatchObject([
      { message: expect.stringContaining('REDIS_URL_FILE must be a URL such as') as string },
      { message: 'REDIS_URL has changed, but does not work', cause: { message: 'Redis answered WRONGPASS' } },
    ]);
    expect(server.output.stdout).not.toContain('S3CR3T');
  });

  test('two keys for hashing numbers count each SMS under both, so that processes can change one after the other', async () => {
    await using redis = await startRedis();
    const env = { SMS_LIMITS: '1/10m', REDIS_URL: redis.url, PHONE_HASH_KEY: oldKey };
    await using before = await openStage(env, { moreUsers: crowd(2) });
    await using between = await openStage({ ...env, ZITADEL_URL: before.zitadel.url });
    for (const { url } of [before, between]) await redisIs('up', url);
    expect(await between.rotate({ PHONE_HASH_KEY: `${newKey},${oldKey}` })).toEqual(['PHONE_HASH_KEY']);
    const [one, other, third] = [users.phoneless.userId, users.verified.userId, crowd(1)[0]?.userId ?? ''];
    const numberLimit = [{ extensions: refusedFor('SMS_TO_NUMBER') }];
    const toNumber = (stage: typeof before, userId: string, number: string) =>
      stage.run('set-contact-phone', { userId, number });

    expect((await toNumber(before, one, '+41795550101')).errors).toBeUndefined();
    expect((await toNumber(between, other, '+41795550101')).errors).toMatchObject(numberLimit);
    expect((await toNumber(between, other, '+41795550102')).errors).toBeUndefined();
    expect((await toNumber(before, third, '+41795550102')).errors).toMatchObject(numberLimit);
    await before.rotate({ PHONE_HASH_KEY: newKey });
    expect((await toNumber(before, third, '+41795550102')).errors).toMatchObject(numberLimit);
    expect(before.zitadel.outbox).toHaveLength(2);
  });
});

test('SIGHUP shuts down the demo, as when its terminal is closed', async () => {
  await using demo = startChild(['dist/demo.js'], { PORT: '0' });
  await demo.printed(listening);

  demo.kill('SIGHUP');

  expect(await demo.exited).toBe(0);
});
