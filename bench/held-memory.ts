import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from './child.js';
import { isListening } from './listening.js';
import { forgedToken, goodToken, graphql, send, type HostileRequest } from './hostile-request.js';
import { yardstick } from './hostile-lists.js';
import { startProduct, startUpstream } from './peers.js';
import { figure, table } from './report.js';

// The memory that many requests leave behind: what the product still holds after answering them and collecting garbage.

interface Crowd extends HostileRequest {
  count: number;
}

/** A valid document with as many nodes as fit in 2 kB. */
const dense = (n: number) => `query A${n} { _entities(representations: [${'[]'.repeat(960)}]) { __typename } }`;
const blanks = ' '.repeat(900_000);

const crowds: readonly Crowd[] = [
  { name: 'different documents of 2 kB', count: 250, body: (n) => graphql(dense(n)) },
  { name: 'different documents of 2 kB', count: 5_000, body: (n) => graphql(dense(n)) },
  {
    name: 'different documents of 40,000 comments',
    count: 50,
    body: (n) => graphql(`query A${n} { __typename }${'#\n'.repeat(40_000)}`),
  },
  {
    name: 'SMS, each with a document of 900 kB that contains the user id',
    count: 300,
    body: (n) =>
      graphql(`mutation A${n} { resendContactPhoneCode(userId: "3020000000000${n}") { verificationCode } } ${blanks}`),
    token: goodToken,
  },
  {
    name: 'reads, each with a document of 900 kB that contains the user id',
    count: 450,
    body: (n) => graphql(`query A${n} { contactPhone(userId: "3010000000000${n}") { number } } ${blanks}`),
    token: goodToken,
  },
  { ...yardstick, name: 'lists of 5,000 representations, forged token', count: 200, token: forgedToken },
];

export interface Held {
  name: string;
  /** In megabytes. */
  held: number;
  resident: number;
  refused: number;
}

export async function measureHeldMemory(only: string, scratch: string): Promise<Held[]> {
  const results: Held[] = [];
  for (const crowd of crowds.filter(({ name }) => name.includes(only))) {
    console.error(`  ${crowd.count} ${crowd.name}`);
    const result = await measureOne(crowd, scratch);
    console.error(`    ${figure(result.held)} MB`);
    results.push(result);
  }
  return results;
}

const probe = fileURLToPath(new URL('probe.js', import.meta.url));

async function measureOne(crowd: Crowd, scratch: string): Promise<Held> {
  await using upstream = await startUpstream(scratch);
  const port = await freePort();
  const env = { ZITADEL_URL: upstream.url, PROBE_PORT: String(port) };
  await using server = await startProduct(env, join(scratch, 'product.log'), ['--expose-gc', '--import', probe]);
  await isListening(server);
  const held = async () => Number(await (await fetch(`http://127.0.0.1:${port}`)).text());

  // Warm-up: the first requests of each kind leave behind compiled code.
  for (let n = 0; n < 3; n += 1) await send(server.url, crowd, n, timeoutMs);
  const before = { held: await held(), resident: (await server.usage()).memory };
  let refused = 0;
  const numbers = Array.from({ length: crowd.count }, (_, index) => 1_000 + index).values();
  const lane = async () => {
    for (const n of numbers) if ((await send(server.url, crowd, n, timeoutMs)).status !== 200) refused += 1;
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  const after = { held: await held(), resident: (await server.usage()).memory };
  return {
    name: `${crowd.count.toLocaleString('en')} ${crowd.name}`,
    held: (after.held - before.held) / 1e6,
    resident: (after.resident - before.resident) / 1e6,
    refused,
  };
}

const timeoutMs = 60_000;
const lanes = 4;

export function reportHeldMemory(results: readonly Held[]): string {
  return table(
    ['After', 'Held increase, MB', 'Resident increase, MB', 'Not answered with 200'],
    results.map(({ name, held, resident, refused }) => [name, figure(held), figure(resident), String(refused)]),
  );
}
