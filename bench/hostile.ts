import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from './child.js';
import { hostileDocuments } from './hostile-documents.js';
import { hostileInputs } from './hostile-inputs.js';
import { hostileLists, yardstick } from './hostile-lists.js';
import { send, type Answer, type HostileRequest } from './hostile-request.js';
import { isListening } from './listening.js';
import { product, startUpstream } from './peers.js';
import { figure, table } from './report.js';
import { median } from './statistics.js';

// The maximum cost of a single request: sends each hostile request a few times to a fresh, warmed-up process.

const timeoutMs = 60_000;
const pollMs = 25;

interface Cost {
  answer: Answer;
  /** CPU time of the server's process, in milliseconds, up to the timeout or the end of the process. */
  cpu: number;
  /** The peak increase of resident memory, in megabytes. */
  memory: number;
  /** Whether the server is still running. */
  survived: boolean;
}

export interface HostileResult {
  request: HostileRequest;
  costs: Cost[];
  /** The CPU time of the yardstick in the same process, in milliseconds. */
  yardstickCpu: number;
}

/** Measures the requests whose name contains `only`. */
export async function measureHostile(repetitions: number, only: string, scratch: string): Promise<HostileResult[]> {
  const all = [yardstick, ...hostileLists, ...hostileDocuments, ...hostileInputs];
  const results: HostileResult[] = [];
  const upstream = await startUpstream(scratch);
  try {
    for (const request of all.filter(({ name }) => name.includes(only))) {
      console.error(`  ${request.name}`);
      const result = await measureOne(request, repetitions, upstream.url, scratch);
      results.push(result);
      console.error(
        `    ${cellsOf(result).slice(1).join(' · ')}   ${result.costs.at(-1)?.answer.start.slice(0, 120) ?? ''}`,
      );
    }
  } finally {
    await upstream[Symbol.asyncDispose]();
  }
  return results;
}

async function measureOne(
  request: HostileRequest,
  repetitions: number,
  upstream: string,
  scratch: string,
): Promise<HostileResult> {
  await using server = await product.start(upstream, scratch);
  await isListening(server);
  for (let n = 0; n < 3; n += 1) await cost(server, yardstick, n);
  const yardsticks = [
    await cost(server, yardstick, 3),
    await cost(server, yardstick, 4),
    await cost(server, yardstick, 5),
  ];
  const costs: Cost[] = [];
  for (let n = 10; n < 10 + repetitions; n += 1) {
    const one = await cost(server, request, n);
    costs.push(one);
    // No need to repeat this, and the server may be busy with it for minutes.
    if (one.answer.status === undefined || !one.survived) break;
  }
  return { request, costs, yardstickCpu: median(yardsticks.map(({ cpu }) => cpu)) };
}

async function cost(server: Child, request: HostileRequest, n: number): Promise<Cost> {
  const before = await server.usage();
  let last = before;
  let peak = before.memory;
  let survived = true;
  let isDone = false;
  const sampleUsage = async () => {
    try {
      last = await server.usage();
      peak = Math.max(peak, last.memory);
    } catch {
      survived = false;
    }
  };
  const watching = (async () => {
    while (!isDone && survived) {
      await sampleUsage();
      await delay(pollMs);
    }
  })();
  const answer = await send(server.url, request, n, timeoutMs);
  // The log line and other work come after this answer, but before the next one.
  if (answer.status !== undefined) await fetch(`${server.url}/health/live`).catch(() => undefined);
  isDone = true;
  await watching;
  await sampleUsage();
  return { answer, cpu: (last.cpu - before.cpu) / 1000, memory: (peak - before.memory) / 1e6, survived };
}

const maxMultiple = 2;
const maxAnswerBytes = 2 * 2 ** 20;

export function reportHostile(results: readonly HostileResult[]): string {
  return table(['', 'CPU, ms', '× the yardstick', 'Answer, MB', 'HTTP', 'Memory increase, MB'], results.map(cellsOf));
}

/** Values over their limit are bold. */
function cellsOf({ request, costs, yardstickCpu }: HostileResult): string[] {
  const cpu = median(costs.map((one) => one.cpu));
  const bytes = Math.max(...costs.map(({ answer }) => answer.bytes));
  const last = costs.at(-1);
  const bold = (text: string, isBold: boolean) => (isBold ? `**${text}**` : text);
  const timedOut = last?.answer.status === undefined && last?.survived === true;
  const atLeast = timedOut ? '> ' : '';
  return [
    request.name,
    atLeast + figure(cpu),
    bold(`${atLeast}${figure(cpu / yardstickCpu)}×`, cpu > maxMultiple * yardstickCpu),
    bold(figure(bytes / 1e6), bytes > maxAnswerBytes),
    last?.survived === false ? '**the process ended**' : String(last?.answer.status ?? '**none**'),
    figure(Math.max(...costs.map(({ memory }) => memory))),
  ];
}
