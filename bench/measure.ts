import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from './child.js';
import { headers, load } from './load.js';
import { peers, startUpstream, type Peer } from './peers.js';
import type { Question } from './questions.js';
import type { Sample } from './results.js';

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
      if (effort.warmUpSeconds > 0) await ask(server, peer, question, effort.warmUpSeconds);
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
    const { authorization } = headers;
    const request = {
      method: 'POST',
      headers: { ...headers, authorization: question.nextAuthorization?.() ?? authorization },
      body: question.next(schema),
    };
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
    question.nextAuthorization,
  );

async function sample(
  server: Child,
  upstream: Child,
  peer: Peer,
  question: Question,
  { rewarmSeconds, roundSeconds }: Effort,
): Promise<Sample> {
  if (rewarmSeconds > 0) await ask(server, peer, question, rewarmSeconds);
  const others = Object.entries(server.others ?? {});
  const cpuOfOthers = () => Promise.all(others.map(async ([, other]) => (await other.usage()).cpu));
  const callsBefore = await callsOf(upstream);
  const othersBefore = await cpuOfOthers();
  const before = await server.usage();
  const { completed, ...speed } = await ask(server, peer, question, roundSeconds);
  const after = await server.usage();
  const othersAfter = await cpuOfOthers();
  const perRequest = others.map(([name], index) => {
    const spent = (othersAfter[index] ?? NaN) - (othersBefore[index] ?? NaN);
    return [name, spent / completed] as const;
  });
  return {
    ...speed,
    cpu: (after.cpu - before.cpu) / completed,
    memory: after.memory / 1e6,
    calls: ((await callsOf(upstream)) - callsBefore) / completed,
    ...(others.length > 0 && { others: Object.fromEntries(perRequest) }),
  };
}

async function callsOf(upstream: Child): Promise<number> {
  return Number(await (await fetch(`${upstream.url}/calls`)).text());
}
