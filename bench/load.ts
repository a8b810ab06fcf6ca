import { createHistogram } from 'node:perf_hooks';
import autocannon from 'autocannon';
import { authorization } from './questions.js';

const connections = 32;

export const headers = {
  'content-type': 'application/json',
  accept: 'application/json',
  'accept-language': 'de',
  authorization,
};

export interface Load {
  completed: number;
  requestsPerSecond: number;
  /** In milliseconds. */
  p50: number;
  p99: number;
}

/**
 * Sends requests for some seconds over 32 connections, each of which waits for its answer before it sends the next request.
 *
 * @throws if an answer is wrong
 */
export async function load(
  url: string,
  next: () => string,
  isRight: (body: string) => boolean,
  seconds: number,
  nextAuthorization?: () => string,
): Promise<Load> {
  const microseconds = createHistogram();
  const { errors, non2xx, mismatches, duration } = await autocannon({
    url: `${url}/graphql`,
    method: 'POST',
    connections,
    duration: seconds,
    headers,
    requests: [
      {
        setupRequest: (request) => ({
          ...request,
          body: next(),
          ...(nextAuthorization && { headers: { ...headers, authorization: nextAuthorization() } }),
        }),
      },
    ],
    verifyBody: (body) => isRight(String(body)),
    setupClient(client) {
      client.on('response', (_status, _bytes, milliseconds) => {
        microseconds.record(Math.max(1, Math.round(milliseconds * 1000)));
      });
    },
  });
  if (errors + non2xx + mismatches > 0) {
    throw new Error(`${url}: ${errors} errors, ${non2xx} other statuses, ${mismatches} wrong answers`);
  }
  return {
    completed: microseconds.count,
    requestsPerSecond: microseconds.count / duration,
    p50: microseconds.percentile(50) / 1000,
    p99: microseconds.percentile(99) / 1000,
  };
}
