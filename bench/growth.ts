import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { load, questionOf, requestsOf, type Load, type Requests, type Seconds } from './growth-load.js';
import { growthPicture } from './growth-picture.js';
import { reportGrowth } from './growth-report.js';
import { measureRemembered, type Remembered } from './growth-users.js';
import { firstAnswer } from './measure.js';
import { peers, product, startUpstream, type Peer } from './peers.js';

// How cost grows with the representations of a request, with connections, and with the users that the limits remember.

/** With the median of a single connection, in milliseconds. */
type Measured = Load & { alone: number };

/** One step of growth. */
export interface Step {
  count: number;
  product: Measured;
  bareProxy: Measured;
}

export interface Growth {
  representations: Step[];
  returnCode: Step[];
  sendCode: Step[];
  users: Remembered[];
}

/** The limits on the cost of a request refuse more. */
const representations = [1, 10, 100, 1_000, 5_000];
const connections = [1, 32, 256, 2_048];
const users = [1, 1_000, 100_000, 1_000_000];
const usualConnections = 32;
/** Some of 2,048 connections are opened late: beyond the backlog of a listening socket, 511, they are tried again after 1 and 3 s. */
const fullSeconds: Seconds = { warmUp: 5, measured: 5 };

/** Of the fullest connections: sockets to callers and to ZITADEL, and a few others. */
const openFiles = 2_048 + 2 * 64 + 100;
const home = fileURLToPath(new URL('..', import.meta.url));

/** @returns the results in Markdown. They also go into growth.md or, if they are quick ones, into `dist/`. */
export async function runGrowth(isQuick: boolean, scratch: string): Promise<string> {
  const allowed = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
  if (Number(allowed) < openFiles) throw new Error(`ulimit -Hn is ${allowed}: this needs ${openFiles} open files.`);
  const growth = await measureGrowth(isQuick ? { warmUp: 1, measured: 1 } : fullSeconds, scratch);
  publishGrowth(growth, isQuick ? join(home, 'dist') : home);
  return reportGrowth(growth);
}

async function measureGrowth(seconds: Seconds, scratch: string): Promise<Growth> {
  const growth: Growth = { representations: [], returnCode: [], sendCode: [], users: [] };
  for (const count of representations) growth.representations.push(await withRepresentations(count, seconds, scratch));
  for (const count of connections) growth.returnCode.push(await withConnections(count, 'return', seconds, scratch));
  for (const count of connections) growth.sendCode.push(await withConnections(count, 'send', seconds, scratch));
  for (const count of users) {
    console.error(`  ${count} users`);
    growth.users.push(await measureRemembered(count, seconds, scratch));
  }
  return growth;
}

async function withRepresentations(count: number, seconds: Seconds, scratch: string): Promise<Step> {
  console.error(`  ${count} representations`);
  const { next: nextOfOne, mark } = questionOf('entities-1');
  const { query } = JSON.parse(nextOfOne('subgraph')) as { query: string };
  let asked = 0;
  const user = () => ({ __typename: 'User', id: `301${String((asked += 1)).padStart(15, '0')}` });
  const next = () => JSON.stringify({ query, variables: { representations: Array.from({ length: count }, user) } });
  return { count, ...(await compare({ next, mark }, usualConnections, seconds, scratch)) };
}

async function withConnections(count: number, question: string, seconds: Seconds, scratch: string): Promise<Step> {
  console.error(`  ${question} over ${count} connections`);
  return { count, ...(await compare(requestsOf(question), count, seconds, scratch)) };
}

/** The product beside the bare proxy. */
async function compare(
  requests: Requests,
  count: number,
  seconds: Seconds,
  scratch: string,
): Promise<Omit<Step, 'count'>> {
  const bareProxy = peers.find(({ name }) => name === 'bare proxy');
  if (!bareProxy) throw new Error('There is no bare proxy.');
  await using upstream = await startUpstream(scratch);
  const measure = async (peer: Peer) => {
    await using server = await peer.start(upstream.url, scratch);
    await firstAnswer(server, peer, questionOf('return'));
    const full = await load(server, count, requests, seconds);
    const alone = await load(server, 1, requests, { ...seconds, warmUp: 0 });
    return { ...full, alone: alone.p50 };
  };
  return { product: await measure(product), bareProxy: await measure(bareProxy) };
}

/** Replaces the tables in growth.md, and the picture. */
function publishGrowth(growth: Growth, folder: string): void {
  const page = readFileSync(join(home, 'growth.md'), 'utf8');
  const between = /(?<=<!-- results -->\n).*(?=<!-- end of results -->)/s;
  const tables = reportGrowth(growth);
  writeFileSync(
    join(folder, 'growth.md'),
    page.replace(between, () => `\n${tables}\n\n`),
  );
  writeFileSync(join(folder, 'growth.svg'), growthPicture(growth));
}
