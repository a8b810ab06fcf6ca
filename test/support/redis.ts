import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { constants, setPriority } from 'node:os';
import { createClient } from '@redis/client';
import { startChild } from './child.js';
import { until } from './until.js';

export const password = 'S3CR3T-of-redis';

/** A real Redis on this machine, which can be stopped and restarted. It then loses all data. */
export async function startRedis(...options: string[]) {
  const port = await freePort();
  const url = urlOf(port);
  const start = () => startProcess(port, ...options);
  let server = await start();
  return {
    url,
    async start() {
      server = await start();
    },
    async stop() {
      server.kill('SIGTERM');
      await server.exited;
    },
    async kill() {
      server.kill('SIGKILL');
      await server.exited;
    },
    /** Connections stay open, but get no answers. */
    freeze: () => server.kill('SIGSTOP'),
    thaw: () => server.kill('SIGCONT'),
    /** Every key, with the milliseconds until it expires. */
    keys: () => keysOf(url),
    get: (key: string) => withClient(url, (client) => client.get(key)),
    /** Removes every key. */
    flush: () => withClient(url, (client) => client.flushAll()),
    /** Makes it forget every script. */
    flushScripts: () => withClient(url, (client) => client.scriptFlush()),
    /** Makes it the replica of a master that is not there, or a master again. */
    setReadOnly: (isReadOnly: boolean) =>
      withClient(url, (client) =>
        client.sendCommand(['REPLICAOF', ...(isReadOnly ? ['127.0.0.1', '1'] : ['NO', 'ONE'])]),
      ),
    /** How many scripts ran since it started: sent as their SHA-1, or as their source. */
    commandCounts: () =>
      withClient(url, async (client) => {
        const statistics = await client.info('commandstats');
        const calls = (command: string) =>
          Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(statistics)?.[1] ?? 0);
        return { evalsha: calls('evalsha'), eval: calls('eval') };
      }),
    /** Makes every history older by this many seconds: its times, and when it expires. */
    age: (seconds: number) =>
      withClient(url, async (client) => {
        const script = `local ms = tonumber(ARGV[1])
          for _, key in ipairs(redis.call('KEYS', '*')) do
            local endsIn = redis.call('PTTL', key)
            if redis.call('TYPE', key).ok == 'string' then
              local times, rest = string.match(redis.call('GET', key), '^([%d,]*)(.*)$')
              times = string.gsub(times, '%d+', function (time) return string.format('%.0f', time - ms) end)
              redis.call('SET', key, times .. rest)
            end
            redis.call('PEXPIRE', key, endsIn - ms)
          end`;
        await client.eval(script, { arguments: [String(seconds * 1000)] });
      }),
    /** The number of connections. */
    clients: () => withClient(url, async (client) => (await client.clientList()).length - 1),
    /** While it is full, it answers, but cannot write. */
    setFull: (isFull: boolean) => withClient(url, (client) => client.configSet('maxmemory', isFull ? '1' : '0')),
    /** Resolves when this many scripts have failed, because it is full or only reads. */
    refusedToCount: (times: number) =>
      withClient(url, (client) =>
        until(async () => {
          const refused = (await client.info('commandstats')).matchAll(/cmdstat_eval(?:sha)?:.*failed_calls=(\d+)/g);
          return [...refused].reduce((sum, [, calls]) => sum + Number(calls), 0) >= times;
        }),
      ),
    /** Gives a user this password and these rules. */
    setUser: (name: string, ...rules: string[]) =>
      withClient(url, (client) => client.aclSetUser(name, ['reset', 'on', `>${password}`, ...rules])),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** One process; it ends with the test. */
export async function startProcess(port: number, ...options: string[]) {
  const own = `--port ${port} --bind 127.0.0.1 --requirepass ${password} --masterauth ${password} --appendonly no --save`;
  const child = startChild([...own.split(' '), '', ...options], {}, 'redis-server');
  prefer(child.pid);
  await child.printed(/Ready to accept connections/);
  return child;
}

/** On a busy machine, a Redis that waits for the CPU for 200 ms would count as slow. Only root may prefer a process. */
function prefer(pid = 0): void {
  try {
    setPriority(pid, constants.priority.PRIORITY_HIGH);
  } catch {
    // Then a very busy machine may be too slow.
  }
}

export const urlOf = (port: number) => `redis://:${password}@127.0.0.1:${port}`;

/** What the Redis at this port answers. */
export const ask = (port: number, ...command: string[]) =>
  withClient(urlOf(port), (client) => client.sendCommand<string>(command));

/** Resolves when its replica has everything that the Redis at this port has now. */
export const replicated = (port: number) =>
  withClient(urlOf(port), async (client) => {
    await client.set('replicated', '');
    await client.wait(1, 0);
  });

/** Every key of one Redis, with the milliseconds until it expires. */
export const keysOf = (url: string) =>
  withClient(url, async (client) => {
    // In one script, so that no key expires in between.
    const script = `local all = {}
      for index, key in ipairs(redis.call('KEYS', '*')) do all[index] = { key, redis.call('PTTL', key) } end
      return all`;
    return (await client.evalRo(script)) as [key: string, endsInMs: number][];
  });

const connect = (url: string) => createClient({ url }).connect();

async function withClient<T>(
  url: string,
  use: (client: Awaited<ReturnType<typeof connect>>) => Promise<T>,
): Promise<T> {
  const client = await connect(url);
  try {
    return await use(client);
  } finally {
    client.destroy();
  }
}

/** Outside the range of ephemeral ports: a connection could take one of those while Redis is stopped. */
export async function freePort(): Promise<number> {
  const server = createServer();
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
