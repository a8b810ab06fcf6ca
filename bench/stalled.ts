import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import type { Child } from './child.js';
import { hostileLists, yardstick } from './hostile-lists.js';
import type { HostileRequest } from './hostile-request.js';
import { isListening } from './listening.js';
import { startProduct, startUpstream } from './peers.js';
import { figure, table } from './report.js';

// Callers that stall: they do not read their answer, or never send the last byte of their request.

interface Stall {
  name: string;
  connections: number;
  /** What each connection sends. It reads nothing unless `reads`. */
  sends: () => Buffer;
  reads: boolean;
}

export interface Stalled {
  name: string;
  /** The increase of resident memory, in megabytes: at its peak, and after some time. */
  peak: number;
  end: number;
  /** The open connections of the server after some time. */
  open: number;
}

/** Longer than any timeout of the product: an unread answer is dropped after 30 s, and making the answers takes most of a minute. */
const seconds = 120;
const everyMs = 250;

const head = (length: number) =>
  `POST /graphql HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

function whole(request: HostileRequest, times: number): Buffer {
  const parts = Array.from({ length: times }, (_, n) => Buffer.from(request.body(n)));
  return Buffer.concat(parts.flatMap((body) => [Buffer.from(head(body.length)), body]));
}

const megabyte = 2 ** 20;
const bigAnswer = hostileLists.find(({ name }) => name.includes('id of 1 MB × 49')) ?? yardstick;

const stalls: readonly Stall[] = [
  {
    name: '40 connections that never read an answer of 49 MB',
    connections: 40,
    sends: () => whole(bigAnswer, 1),
    reads: false,
  },
  {
    name: '40 connections that never read the answers to 6 yardsticks',
    connections: 40,
    sends: () => whole(yardstick, 6),
    reads: false,
  },
  {
    name: '300 bodies of 1 MiB without the last byte',
    connections: 300,
    sends: () => Buffer.concat([Buffer.from(head(megabyte)), Buffer.alloc(megabyte - 1, ' ')]),
    reads: true,
  },
];

export async function measureStalled(only: string, scratch: string): Promise<Stalled[]> {
  const results: Stalled[] = [];
  for (const stall of stalls.filter(({ name }) => name.includes(only))) {
    console.error(`  ${stall.name}`);
    await using upstream = await startUpstream(scratch);
    await using server = await startProduct({ ZITADEL_URL: upstream.url }, join(scratch, 'product.log'));
    await isListening(server);
    results.push(await measureOne(stall, server));
  }
  return results;
}

async function measureOne({ name, connections, sends, reads }: Stall, server: Child): Promise<Stalled> {
  const bytes = sends();
  const { port } = new URL(server.url);
  const before = (await server.usage()).memory;
  const sockets = Array.from({ length: connections }, () => {
    const socket = connect(Number(port), '127.0.0.1');
    // A socket that reads nothing does not notice that it is closed until it writes.
    if (reads) socket.resume();
    socket.on('error', () => {});
    socket.write(bytes);
    return socket;
  });
  let peak = before;
  let end = before;
  for (let passed = 0; passed < seconds * 1000; passed += everyMs) {
    end = (await server.usage()).memory;
    peak = Math.max(peak, end);
    await delay(everyMs);
  }
  if (!reads) {
    for (const socket of sockets) if (!socket.destroyed) socket.write('\r\n');
    await delay(1_000);
  }
  const open = sockets.filter(({ destroyed }) => !destroyed).length;
  for (const socket of sockets) socket.destroy();
  return { name, peak: (peak - before) / 1e6, end: (end - before) / 1e6, open };
}

export function reportStalled(results: readonly Stalled[]): string {
  return table(
    ['', 'Peak memory increase, MB', `Increase after ${seconds} s, MB`, `Connections open after ${seconds} s`],
    results.map(({ name, peak, end, open }) => [name, figure(peak), figure(end), String(open)]),
  );
}
