import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './child.js';
import { goodToken, graphql, send } from './hostile-request.js';
import { isListening } from './listening.js';
import { startProduct, startUpstream } from './peers.js';
import { startRedis } from './redis.js';
import { figure, table } from './report.js';

// What the limits cost: the CPU time of Redis for an SMS, and the memory for a user and their number, in Redis and in the process.

/** Three limits, as by default, but each of them allows this many at once. */
const smsOfUser = 20;
const limits = {
  SMS_LIMITS: `${smsOfUser}/1s,${smsOfUser + 1}/10m,${smsOfUser + 2}/24h`,
  // Each bucket is a second, so all of them soon hold calls.
  SMS_BUDGET: '1000000/1m,CH:1000000/1m',
  PHONE_HASH_KEY: 'the-key-of-the-bench',
};
const lanes = 32;
const timeoutMs = 60_000;

export interface CostOfLimits {
  /** How many SMS each user has received. */
  sms: number;
  /** CPU time of Redis for the last of them, in microseconds. */
  redisCpu: number;
  /** Memory of Redis for each user, in bytes. */
  redisMemory: number;
  /** Heap of the process for each user, in bytes. */
  heap: number;
}

export async function measureLimits(users: number, scratch: string): Promise<CostOfLimits[]> {
  await using redis = await startRedis(scratch);
  await using upstream = await startUpstream(scratch);
  const probePort = await freePort();
  const env = { ZITADEL_URL: upstream.url, PROBE_PORT: String(probePort), ...limits };
  const log = join(scratch, 'product.log');
  const nodeArgs = ['--expose-gc', '--import', fileURLToPath(new URL('probe.js', import.meta.url))];
  await using shared = await startProduct({ ...env, REDIS_URL: redis.url }, log, nodeArgs.slice(0, 1));
  await using alone = await startProduct(env, `${log}-alone`, nodeArgs);
  await Promise.all([isListening(shared), isListening(alone)]);
  const held = async () => Number(await (await fetch(`http://127.0.0.1:${probePort}`)).text());

  const resendAll = async (first: number, count: number) => {
    const ids = Array.from({ length: count }, (_, index) => first + index).values();
    const lane = async () => {
      for (const id of ids)
        for (const { url } of [shared, alone]) {
          const answer = await send(url, { name: '', body: bodyOf, token: goodToken }, id, timeoutMs);
          if (!answer.start.includes('"changeDate"')) throw new Error(answer.start);
        }
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  };

  await resendAll(users, 2_000);
  const before = { held: await held(), memory: redis.info('memory', 'used_memory') };
  /** In seconds. */
  const cpuOfRedis = () => redis.info('cpu', 'used_cpu_user') + redis.info('cpu', 'used_cpu_sys');
  const results: CostOfLimits[] = [];
  for (let sms = 1; sms <= smsOfUser; sms += 1) {
    const cpu = cpuOfRedis();
    await resendAll(0, users);
    results.push({
      sms,
      redisCpu: ((cpuOfRedis() - cpu) / users) * 1e6,
      redisMemory: (redis.info('memory', 'used_memory') - before.memory) / users,
      heap: ((await held()) - before.held) / users,
    });
  }
  return [1, 5, smsOfUser].flatMap((sms) => results.slice(sms - 1, sms));
}

const document = 'mutation A($id: ID!) { resendContactPhoneCode(userId: $id) { details { changeDate } } }';
const bodyOf = (n: number) => graphql(document, { id: `302${String(n).padStart(15, '0')}` });

export function reportLimits(results: readonly CostOfLimits[]): string {
  return table(
    ['SMS to each user', 'Redis CPU for the last one, µs', 'Redis memory per user, bytes', 'Heap per user, bytes'],
    results.map(({ sms, redisCpu, redisMemory, heap }) => [
      String(sms),
      figure(redisCpu),
      figure(redisMemory),
      figure(heap),
    ]),
  );
}
