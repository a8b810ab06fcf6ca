import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

interface Target {
  url: string;
  /** Its kept connections. */
  agent: Agent;
  isReady: boolean;
}

export interface BalancedAnswer {
  status: number;
  body: string;
}

/** A target is checked each time that this many more requests have been answered. */
const answersBetweenChecks = 20;

/**
 * A load balancer like those of routers and Kubernetes: spreads requests over the targets that are ready, over connections that it keeps. A
 * draining target still gets requests until the next check finds it not ready. It never repeats a request.
 */
export function openKeepAliveBalancer() {
  const targets = new Set<Target>();
  const lost: string[] = [];
  let turn = 0;
  let answers = 0;

  const exchange = async (
    { url, agent }: Target,
    path: string,
    headers = {},
    body?: string,
  ): Promise<BalancedAnswer> => {
    const method = body === undefined ? 'GET' : 'POST';
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const request = httpRequest(`${url}${path}`, { agent, method, headers }, resolve).on('error', reject);
      request.end(body);
    });
    return { status: response.statusCode ?? 0, body: await text(response) };
  };
  const check = async (target: Target) => {
    const ready = await exchange(target, '/health/ready').catch(() => undefined);
    target.isReady = ready?.status === 200;
  };
  const next = (): Target => {
    const ready = [...targets].filter(({ isReady }) => isReady);
    const target = ready[(turn += 1) % ready.length];
    if (!target) throw new Error('No target is ready.');
    return target;
  };

  return {
    /** What happened to the requests that got no answer. */
    lost: lost as readonly string[],
    /** Adds a target once it is ready. */
    async add(url: string) {
      const target = { url, agent: new Agent({ keepAlive: true }), isReady: false };
      await check(target);
      if (!target.isReady) throw new Error('The target is not ready.');
      targets.add(target);
    },
    /** Whether it still sends requests there. */
    uses: (url: string) => [...targets].some((target) => target.url === url && target.isReady),
    remove(url: string) {
      for (const target of targets) {
        if (target.url !== url) continue;
        targets.delete(target);
        target.agent.destroy();
      }
    },
    /** @returns undefined if the connection failed */
    async post(body: object, headers: Record<string, string>): Promise<BalancedAnswer | undefined> {
      const all = { 'content-type': 'application/json', ...headers };
      const answer = await exchange(next(), '/graphql', all, JSON.stringify(body)).catch((error: unknown) => {
        lost.push(String(error));
        return undefined;
      });
      answers += 1;
      if (answers % answersBetweenChecks === 0) for (const target of targets) void check(target);
      return answer;
    },
    [Symbol.dispose]() {
      for (const { agent } of targets) agent.destroy();
    },
  };
}
