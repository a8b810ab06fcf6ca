import { firstAnswer } from './measure.js';
import { load } from './load.js';
import { product, startUpstream } from './peers.js';
import { bodyOfResend, questions } from './questions.js';
import type { Moment } from './results.js';

/** Few enough users for the limits to refuse most of their requests, as in a flood. */
const crowd = 1_000;

/** Sends all kinds of requests to the product in turn, and samples its memory every few seconds. */
export async function soak(seconds: number, stepSeconds: number, scratch: string) {
  const kinds = questions.filter(({ name }) => ['return', 'refused', 'entities-10'].includes(name));
  const [first] = kinds;
  if (!first) throw new Error('There is no question.');
  let asked = 0;
  const next = () => {
    asked += 1;
    return (
      kinds[asked % (kinds.length + 1)]?.next('subgraph') ??
      bodyOfResend('subgraph', 'SEND_CODE', `flood${asked % crowd}`)
    );
  };
  const isRight = (body: string) => body.includes('RATE_LIMITED') || kinds.some(({ mark }) => body.includes(mark));

  const upstream = await startUpstream(scratch);
  const server = await product.start(upstream.url, scratch);
  try {
    await firstAnswer(server, product, first);
    const moments: Moment[] = [];
    let completed = 0;
    for (let passed = stepSeconds; passed <= seconds; passed += stepSeconds) {
      completed += (await load(server.url, next, isRight, stepSeconds)).completed;
      moments.push({ seconds: passed, memory: (await server.usage()).memory / 1e6 });
    }
    return { moments, completed };
  } finally {
    await Promise.all([upstream, server].map((child) => child[Symbol.asyncDispose]()));
  }
}
