import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { goodToken, graphql, send, type Answer } from './hostile-request.js';
import { isListening } from './listening.js';
import { startProduct } from './peers.js';
import { bodyOfResend } from './questions.js';
import { figure, table } from './report.js';
import { answer, read, readCall } from './user-service.js';

// ZITADEL accepts resends but never answers them, while it answers reads immediately.

const timeoutMs = 60_000;
/** Shorter than any deadline. */
const quickMs = 2_000;
const readEveryMs = 20;
/** The backlog of a listening socket is 511. */
const wave = 200;

interface Hung {
  count: number;
  /** Resends that reached ZITADEL. */
  reached: number;
  /** How many of those arrived with less than half of their time left. */
  late: number;
  quick: number;
  unknown: number;
  unanswered: number;
  lastAnswerMs: number;
  /** The peak increase of resident memory, in megabytes. */
  memory: number;
  reads: { count: number; failed: number; p50: number; p99: number; max: number };
}

/** Sends this many resends at once, and reads in the meantime. */
export async function measureHanging(counts: readonly number[], scratch: string): Promise<Hung[]> {
  const results: Hung[] = [];
  for (const count of counts) {
    console.error(`  ${count} hanging resends`);
    results.push(await measureOne(count, scratch));
  }
  return results;
}

/** The default of ZITADEL_TIMEOUT_MS. */
const deadlineMs = 10_000;

async function measureOne(count: number, scratch: string): Promise<Hung> {
  const askedAt = new Map<string, number>();
  await using upstream = await startHangingUpstream(askedAt);
  await using server = await startProduct({ ZITADEL_URL: upstream.url }, join(scratch, 'product.log'));
  await isListening(server);
  const before = (await server.usage()).memory;
  let memory = before;
  const reads = createHistogram();
  let failed = 0;
  let isDone = false;

  const readOfPhone = {
    name: 'read',
    token: goodToken,
    body: () => graphql('{ contactPhone(userId: "1") { number } }'),
  };
  const reading = (async () => {
    const all: Promise<void>[] = [];
    while (!isDone) {
      all.push(
        send(server.url, readOfPhone, 0, timeoutMs).then(({ ms, start }) => {
          reads.record(Math.max(1, Math.round(ms * 1000)));
          if (!start.includes('"number"')) failed += 1;
        }),
      );
      memory = Math.max(memory, (await server.usage()).memory);
      await delay(readEveryMs);
    }
    await Promise.all(all);
  })();

  const answers: Promise<Answer>[] = [];
  const began = performance.now();
  for (let n = 0; n < count; n += 1) {
    const userId = `u${n}`;
    const body = () => bodyOfResend('subgraph', 'RETURN_CODE', userId);
    askedAt.set(userId, performance.now());
    answers.push(send(server.url, { name: 'resend', token: goodToken, body }, n, timeoutMs));
    if (n % wave === wave - 1) await delay(10);
  }
  const all = await Promise.all(answers);
  const lastAnswerMs = performance.now() - began;
  isDone = true;
  await reading;
  return {
    count,
    reached: upstream.reached,
    late: upstream.late,
    quick: all.filter(({ status, ms }) => status !== undefined && ms < quickMs).length,
    unknown: all.filter(({ start }) => start.includes('"outcome":"UNKNOWN"')).length,
    unanswered: all.filter(({ status }) => status === undefined).length,
    lastAnswerMs,
    memory: (memory - before) / 1e6,
    reads: {
      count: reads.count,
      failed,
      p50: reads.percentile(50) / 1000,
      p99: reads.percentile(99) / 1000,
      max: reads.max / 1000,
    },
  };
}

async function startHangingUpstream(askedAt: ReadonlyMap<string, number>) {
  const server = createServer((request, response) => {
    readCall(request, ({ rpc, userId }) => {
      if (rpc === 'GetUserByID') {
        answer(response, 200, read(userId));
        return;
      }
      upstream.reached += 1;
      const since = performance.now() - (askedAt.get(userId) ?? 0);
      if (since > deadlineMs / 2) upstream.late += 1;
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const upstream = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    reached: 0,
    late: 0,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return upstream;
}

export function reportHanging(results: readonly Hung[]): string {
  return table(
    [
      'Resends at once',
      'Reached ZITADEL',
      'Reached it late',
      `Answered within ${quickMs / 1000} s`,
      'Outcome UNKNOWN',
      'Never answered',
      'Last answer, s',
      'Memory increase, MB',
      'Reads in the meantime (failed)',
      'p50, p99, max, ms',
    ],
    results.map(({ count, reached, late, quick, unknown, unanswered, lastAnswerMs, memory, reads }) => [
      ...[count, reached, late, quick, unknown, unanswered].map((value) => value.toLocaleString('en')),
      figure(lastAnswerMs / 1000),
      figure(memory),
      `${reads.count} (${reads.failed})`,
      [reads.p50, reads.p99, reads.max].map(figure).join(', '),
    ]),
  );
}
