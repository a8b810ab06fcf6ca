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

const passedOn = ['authorization', 'content-type', 'x-router-secret'];

/** A load balancer in front of the subgraph, that disturbs requests. */
export async function openBalancer(target: string) {
  const next: Disturbance[] = [];

  async function balance(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const disturbance = next.shift();
    const body = await text(request);
    if (disturbance === 'unreachable') {
      response.destroy();
      return;
    }
    const headers = Object.entries(request.headers).filter(([name]) => passedOn.includes(name)) as [string, string][];
    const answer = await fetch(target, { method: 'POST', headers, body });
    const answered = await answer.text();
    if (disturbance === 'lost') response.destroy();
    else if (disturbance === 'late') response.writeHead(504).end();
    else response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answered);
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
