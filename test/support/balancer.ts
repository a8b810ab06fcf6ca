import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';

/**
 * What a balancer does to a request:
 * - `unreachable`: it closes the connection without passing the request on;
 * - `lost`: it passes the request on, and closes the connection instead of answering;
 * - `late`: it passes the request on, and answers 504.
 */
export type Disturbance = 'unreachable' | 'lost' | 'late';

const passedOn = /^(authorization|content-type|x-router-secret|origin|access-control-.*)$/;
const passedBack = /^(content-type|access-control-.*)$/;

const pick = (headers: Iterable<[string, unknown]>, names: RegExp) =>
  Object.fromEntries([...headers].filter(([name]) => names.test(name))) as Record<string, string>;

/**
 * A load balancer in front of the subgraph. It disturbs requests, except preflights.
 *
 * @param more headers of its answers. A browser repeats a request if a connection that it used before closes without an answer;
 *   `connection: close` prevents that.
 */
export async function openBalancer(target: string, more: Record<string, string> = {}) {
  const next: Disturbance[] = [];

  async function balance(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '' } = request;
    const disturbance = method === 'OPTIONS' ? undefined : next.shift();
    const body = await text(request);
    if (disturbance === 'unreachable') {
      response.destroy();
      return;
    }
    const headers = pick(Object.entries(request.headers), passedOn);
    const answer = await fetch(target, { method, headers, ...(method === 'POST' && { body }) });
    const answered = await answer.text();
    // By the clock of the test.
    const answerHeaders = { ...pick(answer.headers, passedBack), date: new Date().toUTCString(), ...more };
    if (disturbance === 'lost') response.destroy();
    else if (disturbance === 'late') response.writeHead(504).end();
    else response.writeHead(answer.status, answerHeaders).end(answered);
  }

  const server = createServer((request, response) => void balance(request, response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/graphql`,
    /** Queues disturbances for the next requests, one for each. */
    disturb: (...disturbances: Disturbance[]) => void next.push(...disturbances),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
