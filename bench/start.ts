import { setTimeout as delay } from 'node:timers/promises';
import type { Child } from './child.js';
import { firstAnswer } from './measure.js';
import { startedPeers, startUpstream, type Peer } from './peers.js';
import { questions } from './questions.js';
import type { Start } from './results.js';

/** Starts each peer several times in turn. The last time, all of them stay idle until V8 has cleaned up. */
export async function measureStarts(rounds: number, restSeconds: number, scratch: string): Promise<Map<Peer, Start>> {
  const question = questions.find(({ name }) => name === 'send');
  if (!question) throw new Error('There is no question.');
  const running: Child[] = [];
  const upstream = await startUpstream(scratch);
  const start = async (peer: Peer) => {
    const server = await peer.start(upstream.url, scratch);
    running.push(server);
    await firstAnswer(server, peer, question);
    return { server, ms: performance.now() - server.startedAt };
  };
  try {
    const starts = new Map<Peer, Start>(startedPeers.map((peer) => [peer, { ms: [], memoryAtRest: 0 }]));
    for (let round = 1; round < rounds; round += 1) {
      for (const [peer, { ms }] of starts) {
        const started = await start(peer);
        ms.push(started.ms);
        await started.server[Symbol.asyncDispose]();
      }
    }
    const resting = new Map<Child, Start>();
    for (const [peer, begun] of starts) {
      const started = await start(peer);
      begun.ms.push(started.ms);
      resting.set(started.server, begun);
    }
    await delay(restSeconds * 1000);
    for (const [server, begun] of resting) begun.memoryAtRest = (await server.usage()).memory / 1e6;
    return starts;
  } finally {
    await Promise.all([upstream, ...running].map((child) => child[Symbol.asyncDispose]()));
  }
}
