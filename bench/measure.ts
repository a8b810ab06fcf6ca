import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from './child.js';
import { headers, load } from './load.js';
import { peers, startUpstream, type Peer } from './peers.js';
import type { Question } from './questions.js';

/** The results of one round for one peer. */
export interface Sample {
  requestsPerSecond: number;
  /** In milliseconds. */
  p50: number;
  p99: number;
  /** CPU time of the server's process, in microseconds per request. */
  cpu: number;
  /** Resident memory at the end of the round, in megabytes. */
  memory: number;
  /** Calls to the upstream per request. */
  calls: number;
}

export interface Effort {
  rounds: number;
  warmUpSeconds: number;
  /** Warm-up before each round, since other peers ran in the meantime. */
  rewarmSeconds: number;
  roundSeconds: number;
}

/** Measures all peers that support the question in turn, each in its own process in front of the same upstream. */
export async function measure(question: Question, effort: Effort, scratch: string): Promise<Map<Peer, Sample[]>> {
  const upstream = await startUpstream(scratch);
  const running = new Map<Peer, Child>();
  try {
    for (const peer of peers.filter((candidate) => candidate.answers(question))) {
      const server = await peer.start(upstream.url, scratch);
      running.set(peer, server);
      await firstAnswer(server, peer, question);
      await ask(server, peer, question, effort.warmUpSeconds);
    }
    const samples = new Map<Peer, Sample[]>([...running.keys()].map((peer) => [peer, []]));
    for (let round = 0; round < effort.rounds; round += 1) {
      for (const [peer, server] of running) {
        samples.get(peer)?.push(await sample(server, upstream, peer, question, effort));
      }
    }
    return samples;
  } finally {
    await Promise.all([upstream, ...running.values()].map((child) => child[Symbol.asyncDispose]()));
  }
}

const pollMs = 5;

/**
 * Sends requests until one is answered.
 *
 * @throws if it is wrong, or the process has ended
 */
export async function firstAnswer(server: Child, { name, schema }: Peer, question: Question): Promise<void> {
  for (;;) {
    const request = { method: 'POST', headers, body: question.next(schema) };
    const response = await fetch(`${server.url}/graphql`, request).catch(() => undefined);
    if (response?.ok) {
      const answer: unknown = await response.json();
      if (question.isRight(answer)) return;
      throw new Error(`${name} answers ${question.name} wrongly: ${JSON.stringify(answer).slice(0, 500)}`);
    }
    await server.usage();
    await delay(pollMs);
  }
}

const ask = (server: Child, { schema }: Peer, question: Question, seconds: number) =>
  load(
    server.url,
    () => question.next(schema),
    (body) => body.includes(question.mark),
    seconds,
  );

async function sample(
  server: Child,
  upstream: Child,
  peer: Peer,
  question: Question,
  { rewarmSeconds, roundSeconds }: Effort,
): Promise<Sample> {
  if (rewarmSeconds > 0) await ask(server, peer, question, rewarmSeconds);
  const callsBefore = await callsOf(upstream);
  const before = await server.usage();
  const { completed, ...speed } = await ask(server, peer, question, roundSeconds);
  const after = await server.usage();
  return {
    ...speed,
    cpu: (after.cpu - before.cpu) / completed,
    memory: after.memory / 1e6,
    calls: ((await callsOf(upstream)) - callsBefore) / completed,
  };
}

async function callsOf(upstream: Child): Promise<number> {
  return Number(await (await fetch(`${upstream.url}/calls`)).text());
}
