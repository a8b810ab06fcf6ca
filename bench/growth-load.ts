import { createHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import autocannon from 'autocannon';
import type { Child } from './child.js';
import { headers } from './load.js';
import { questions, type Question } from './questions.js';

export interface Requests {
  next(): string;
  /** Occurs in every right answer. */
  mark: string;
}

export interface Seconds {
  warmUp: number;
  measured: number;
}

export interface Load {
  /** All of them, with those of the warm-up. */
  answers: number;
  /** Right answers per second. */
  perSecond: number;
  /** The share of answers that say the server is busy, and that nothing was done. */
  busy: number;
  /** CPU time of the server's process per answer, in microseconds. */
  cpu: number;
  /** Of right answers, in milliseconds. */
  p50: number;
  p99: number;
  max: number;
  /** Resident memory at the end, in megabytes. */
  memory: number;
}

const timeoutSeconds = 60;
/** Of the last requests. */
const endSeconds = 1;

/**
 * Sends requests over this many connections, each of which waits for its answer before it sends the next request. Measures only after the
 * warm-up, and not while the connections end.
 *
 * @throws if an answer is wrong
 */
export async function load(
  server: Child,
  connections: number,
  { next, mark }: Requests,
  { warmUp, measured }: Seconds,
): Promise<Load> {
  const microseconds = createHistogram();
  let busy = 0;
  let latest = 0;
  const sending = autocannon({
    url: `${server.url}/graphql`,
    method: 'POST',
    connections,
    duration: warmUp + measured + endSeconds,
    timeout: timeoutSeconds,
    headers,
    requests: [{ setupRequest: (request) => ({ ...request, body: next() }) }],
    setupClient(client) {
      client.on('response', (_status, _bytes, milliseconds) => {
        latest = milliseconds;
      });
    },
    // autocannon calls this right after the event of the same answer.
    verifyBody(body) {
      const answer = String(body);
      const isBusy = answer.includes('"reason":"BUSY"') && answer.includes('"outcome":"NOT_DONE"');
      if (isBusy) busy += 1;
      else microseconds.record(Math.max(1, Math.round(latest * 1000)));
      return isBusy || answer.includes(mark);
    },
  });
  await delay(warmUp * 1000);
  const before = await server.usage();
  const began = performance.now();
  microseconds.reset();
  busy = 0;
  await delay(measured * 1000);
  const after = await server.usage();
  const right = microseconds.count;
  const result = {
    perSecond: right / ((performance.now() - began) / 1000),
    busy: busy / (right + busy),
    cpu: (after.cpu - before.cpu) / (right + busy),
    p50: microseconds.percentile(50) / 1000,
    p99: microseconds.percentile(99) / 1000,
    max: microseconds.max / 1000,
    memory: after.memory / 1e6,
  };
  const { '2xx': answers, errors, non2xx, mismatches } = await sending;
  if (errors + non2xx + mismatches > 0) {
    throw new Error(`${server.url}: ${errors} errors, ${non2xx} other statuses, ${mismatches} wrong answers`);
  }
  return { answers, ...result };
}

export function questionOf(name: string): Question {
  const found = questions.find((question) => question.name === name);
  if (!found) throw new Error(`There is no question ${name}.`);
  return found;
}

export function requestsOf(name: string): Requests {
  const { next, mark } = questionOf(name);
  return { next: () => next('subgraph'), mark };
}
