import { setImmediate } from 'node:timers/promises';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { ConfigError } from '../src/config/config.js';
import { RedisConnection } from '../src/limits/redis-connection.js';
import { script } from '../src/limits/redis-master.js';
import { createLogger } from '../src/logger.js';
import { hasRedis } from './support/has-redis.js';
import { startCluster } from './support/redis-cluster.js';
import { startSentinels } from './support/redis-sentinel.js';
import { ask, startRedis } from './support/redis.js';
import { leaveForLogTest } from './support/stage.js';
import { until } from './support/until.js';

const increment = script(`return redis.call('INCR', KEYS[1])`);

async function openConnection(url: string) {
  const lines: string[] = [];
  const logger = await createLogger({ level: 'trace', format: 'json' }, { write: (line) => void lines.push(line) });
  const redis = new RedisConnection(new URL(url), 'contact-phone', logger);
  return {
    redis,
    lines,
    connect: () => redis.connect(),
    run: () => redis.run(increment, [`${redis.keyPrefix}count`], []),
    /** Resolves when it reports this state. Uses it until then, since it notices some faults only when it is used. */
    is: (state: 'up' | 'down') =>
      until(async () => {
        if (state === 'down') await redis.run(increment, [`${redis.keyPrefix}other`], []);
        return redis.state === state;
      }),
    messages: () => lines.map((line) => (JSON.parse(line) as { msg: string }).msg.slice(0, 13)),
    [Symbol.dispose]() {
      redis.close();
      leaveForLogTest(lines);
    },
  };
}

/** A connection that is up. */
async function connectTo(url: string) {
  const connection = await openConnection(url);
  await connection.connect();
  expect(connection.redis.state).toBe('up');
  return connection;
}

/** How many connections this Redis has accepted, with the one that asks. */
async function connectionsTo(url: string) {
  const statistics = await ask(Number(new URL(url).port), 'INFO', 'stats');
  return Number(/total_connections_received:(\d+)/.exec(statistics)?.[1]);
}

const up = 'Redis is up: ';
const down = 'Redis is down';

afterEach(() => void vi.useRealTimers());

describe.runIf(hasRedis)('with one Redis', () => {
  test('sends the source of a script only if Redis does not know it', async () => {
    await using server = await startRedis();
    using connection = await connectTo(server.url);
    // Both are for the probe.
    expect(await server.commandCounts()).toEqual({ evalsha: 1, eval: 1 });

    expect(await connection.run()).toBe(1);
    expect(await connection.run()).toBe(2);
    expect(await server.commandCounts()).toEqual({ evalsha: 3, eval: 2 });
    await server.flushScripts();
    expect(await connection.run()).toBe(3);
    expect(await connection.run()).toBe(4);
    expect(await server.commandCounts()).toEqual({ evalsha: 5, eval: 3 });
    expect(connection.messages()).toEqual([up]);
  });

  test('passes keys and arguments to a script, in the database of its URL and under its prefix', async () => {
    await using server = await startRedis();
    using connection = await connectTo(`${server.url}/3`);
    const { redis } = connection;
    const set = script(`redis.call('SET', KEYS[2], ARGV[1]) return { #KEYS, #ARGV, ARGV[2] }`);

    expect(redis.keyPrefix).toBe('{contact-phone}:');
    const keys = ['a', 'b'].map((key) => redis.keyPrefix + key);
    expect(await redis.run(set, keys, ['1764', 'x'])).toEqual([2, 2, 'x']);
    expect(await server.get('{contact-phone}:b')).toBeNull();
    expect(await server.keys()).toEqual([]);
    expect(await redis.run(script(`return redis.call('GET', KEYS[1])`), keys.slice(1), [])).toBe('1764');
  });

  test('waits 200 ms for a slow Redis, then does not use it for a second', async () => {
    await using server = await startRedis();
    using connection = await connectTo(server.url);
    await connection.run();
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });

    server.freeze();
    const early = connection.run();
    // The client sends in the next turn of the event loop.
    await setImmediate();
    vi.advanceTimersByTime(150);
    const late = connection.run();
    await setImmediate();
    vi.advanceTimersByTime(49);
    expect(connection.redis.state).toBe('up');
    vi.advanceTimersByTime(1);
    // The late call does not wait 200 ms of its own.
    expect(await Promise.all([early, late])).toEqual([undefined, undefined]);
    expect(connection.redis.state).toBe('down');
    expect(await connection.run()).toBeUndefined();

    server.thaw();
    const connections = await connectionsTo(server.url);
    vi.advanceTimersByTime(999);
    // Only the one that asks.
    expect(await connectionsTo(server.url)).toBe(connections + 1);
    vi.advanceTimersByTime(1);
    await until(() => Promise.resolve(connection.redis.state === 'up'));
    // Once thawed, Redis ran what it had received while frozen, but not what was asked later.
    expect(await connection.run()).toBe(4);
    expect(connection.messages()).toEqual([up, down, up]);
  });

  test('does not call Redis slow if its answer came while this process was busy', async () => {
    await using server = await startRedis();
    using connection = await connectTo(server.url);
    await connection.run();

    const answer = connection.run();
    // The client sends in the next turn of the event loop.
    await setImmediate();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);

    expect(await answer).toBe(2);
    expect(connection.messages()).toEqual([up]);
  });

  test('starts without Redis, connects later, notices when it goes down, and disconnects at the end', async () => {
    await using server = await startRedis();
    await server.stop();
    using connection = await openConnection(server.url);

    await connection.connect();
    expect(connection.redis.state).toBe('down');
    expect(await connection.run()).toBeUndefined();
    await server.start();
    await connection.is('up');
    expect(await connection.run()).toBe(1);
    await server.stop();
    await until(() => Promise.resolve(connection.redis.state === 'down'));
    await server.start();
    await connection.is('up');
    expect(await connection.run()).toBe(1);
    expect(await server.clients()).toBe(1);
    expect(connection.messages()).toEqual([down, up, down, up]);

    connection.redis.close();
    await until(async () => (await server.clients()) === 0);
  });

  test('can be closed while it connects', async () => {
    await using server = await startRedis();
    using connection = await openConnection(server.url);

    const connecting = connection.connect();
    connection.redis.close();
    await connecting;

    expect(connection.redis.state).toBe('down');
    expect(connection.lines).toEqual([]);
    await until(async () => (await server.clients()) === 0);
  });

  test.each([
    ['is full', 'OOM', (server: Server, isBroken: boolean) => server.setFull(isBroken)],
    ['is a replica', 'READONLY', (server: Server, isBroken: boolean) => server.setReadOnly(isBroken)],
  ])('does not use a Redis that answers but %s, until it can write', async (_, answer, setBroken) => {
    await using server = await startRedis();
    using connection = await connectTo(server.url);
    await connection.run();
    const { evalsha } = await server.commandCounts();

    await setBroken(server, true);
    expect(await connection.run()).toBeUndefined();
    expect(connection.redis.state).toBe('down');
    // Each second, a new connection finds that it still cannot write.
    await until(async () => (await server.commandCounts()).evalsha >= evalsha + 3);
    expect(connection.redis.state).toBe('down');

    await setBroken(server, false);
    await connection.is('up');
    expect(connection.messages()).toEqual([up, down, up]);
    expect(connection.lines[1]).toContain(`Redis answered ${answer}`);
  });

  test('does not use a Redis that forbids it to write', async () => {
    await using server = await startRedis();
    await server.setUser('subgraph', '~*', '+eval', '+evalsha', '+incr');
    using connection = await openConnection(server.url.replace('//:', '//subgraph:'));

    await connection.connect();
    expect(connection.redis.state).toBe('down');
    await server.setUser('subgraph', '~{contact-phone}:*', '+eval', '+evalsha', '+incr', '+set');
    await connection.is('up');
    expect(await connection.run()).toBe(1);
  });

  test('treats an error of a script as a fault, and does not log what the error quotes', async () => {
    await using server = await startRedis();
    using connection = await connectTo(server.url);

    expect(
      await connection.redis.run(script('return redis.error_reply("WRONG " .. ARGV[1])'), [], ['S3CR3T']),
    ).toBeUndefined();
    expect(connection.redis.state).toBe('down');
    expect(connection.lines[1]).toContain('Redis answered WRONG');
    expect(connection.lines[1]).not.toContain('S3CR3T');
  });

  test('does not log its password, even if Redis quotes it in an error about AUTH', async () => {
    await using server = await startRedis('--rename-command', 'AUTH', '');
    using connection = await openConnection(server.url);

    await connection.connect();
    expect(connection.messages()).toEqual([down]);
    expect(connection.lines[0]).toContain('Redis answered ERR');
    expect(connection.lines[0]).not.toContain('S3CR3T');
  });
});

type Server = Awaited<ReturnType<typeof startRedis>>;

describe.runIf(hasRedis)('with a Redis Cluster', () => {
  test('finds the master of its keys through any node, and follows them to another master', async () => {
    await using cluster = await startCluster();
    using connection = await connectTo(cluster.url);
    await cluster.hideHosts();
    using other = await connectTo(cluster.replicaUrl);
    expect(await connection.run()).toBe(1);
    expect(await other.run()).toBe(2);
    const names = (await cluster.keys()).map(([key]) => key).filter((key) => !key.endsWith(':probe'));
    expect(names).toEqual(['{contact-phone}:count']);

    await cluster.swapMaster();
    expect(await connection.run()).toBeUndefined();
    expect(connection.lines[1]).toContain('Redis answered MOVED');
    await connection.is('up');
    expect(await connection.run()).toBe(3);
    expect(connection.messages()).toEqual([up, down, up]);

    using refused = await openConnection(`${cluster.url}/1`);
    const refusal = new ConfigError('REDIS_URL must select database 0: a Redis Cluster has no other.');
    await expect(refused.connect()).rejects.toThrow(refusal);
    expect(refused.lines).toEqual([]);
  });

  test('asks the other nodes when the one that it was given has died with the keys', async () => {
    await using cluster = await startCluster();
    using connection = await connectTo(cluster.urls[0] ?? '');
    await connection.run();

    await cluster.killMaster();
    await connection.is('down');
    await cluster.promoteReplica();
    await connection.is('up');
    expect(await connection.run()).toBeTypeOf('number');
    expect(connection.messages()).toEqual([up, down, up]);
  });
});

describe.runIf(hasRedis)('with Sentinels', () => {
  test('uses the master that they monitor, and asks the other when the one that it was given has died', async () => {
    await using sentinels = await startSentinels('contacts');
    using connection = await connectTo(`${sentinels.url}/1`);
    await connection.run();

    await sentinels.killFirstSentinel();
    await sentinels.killMaster();
    await connection.is('down');
    await sentinels.promoteReplica();
    await connection.is('up');
    expect(await connection.run()).toBeTypeOf('number');
    expect(connection.messages()).toEqual([up, down, up]);
  });

  test('is refused if they monitor several masters', async () => {
    await using sentinels = await startSentinels('contacts', 'others');
    using connection = await openConnection(sentinels.url);

    const refusal = new ConfigError('The Sentinel of REDIS_URL must monitor exactly one master.');
    await expect(connection.connect()).rejects.toThrow(refusal);
    expect(connection.lines).toEqual([]);
  });
});
