import { randomBytes } from 'node:crypto';
import { brotliCompressSync, constants, deflateSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { maxBodyMemory } from '../src/http/body-memory.js';
import { acceptedSockets } from './support/accepted-sockets.js';
import { answersOn, nextOf, rawPost } from './support/raw-http.js';
import { openSocket } from './support/sockets.js';
import { manager, openStage, unverified } from './support/stage.js';
import { until } from './support/until.js';

const mib = 1024 * 1024;
const query = `mutation { resendContactPhoneCode(userId: "${unverified}") { details { sequence } } }`;
const request = JSON.stringify({ query });
/** A request of any length: JSON may have white space around it. */
const padded = (length: number) => request.padEnd(length);
/** A request of any length that does not compress. */
const noise = (length: number) => {
  const rest = length - JSON.stringify({ query, extensions: { a: '' } }).length;
  return JSON.stringify({
    query,
    extensions: {
      a: randomBytes(Math.ceil(rest / 2))
        .toString('hex')
        .slice(0, rest),
    },
  });
};

const extensions = { code: 'BAD_REQUEST', outcome: 'NOT_DONE' };

/** Posts bytes, either with a length or in chunks. */
async function send(url: string, body: Buffer, encoding: string, isChunked = false) {
  const bytes = new Uint8Array(body);
  const init: RequestInit & { duplex: 'half' } = {
    method: 'POST',
    headers: { ...manager, 'content-type': 'application/json', 'content-encoding': encoding },
    body: isChunked ? new Blob([bytes]).stream() : bytes,
    duplex: 'half',
  };
  const response = await fetch(url, init);
  return { status: response.status, headers: response.headers, text: await response.text() };
}

const plain = (body: string) => Buffer.from(body);
/** The default quality is slow, as it is meant for static files. */
const br = (body: string | Buffer) =>
  brotliCompressSync(body, { params: { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MIN_QUALITY } });

test.for([
  ['gzip', gzipSync],
  ['x-gzip', gzipSync],
  ['GZip', gzipSync],
  ['br', br],
  ['identity', plain],
  ['', plain],
] as const)(
  'reads bodies with Content-Encoding: %s, small and large, with a length and in chunks',
  async ([encoding, encode]) => {
    await using stage = await openStage();
    const bodies = [request, padded(20_000), noise(40_000), padded(mib), noise(mib - 2_000)];

    for (const body of bodies) {
      for (const isChunked of [false, true]) {
        const { status, text } = await send(stage.graphql, Buffer.from(encode(body)), encoding, isChunked);
        expect([status, text]).toEqual([200, expect.stringContaining('"data":{"resendContactPhoneCode":{')]);
      }
    }
    expect(stage.zitadel.outbox).toHaveLength(2 * bodies.length);
  },
);

test.for([
  ['gzip', gzipSync],
  ['br', br],
] as const)(
  'refuses a body in %s that is too large after decompression, or cannot be decompressed',
  async ([encoding, encode]) => {
    await using stage = await openStage();
    const bomb = Buffer.from(encode(Buffer.alloc(100 * mib)));
    const whole = Buffer.from(encode(request));

    for (const [body, status, message] of [
      [bomb, 413, 'The request body is too large: the limit is 1048576 bytes.'],
      [Buffer.from(encode(padded(mib + 1))), 413, 'The request body is too large: the limit is 1048576 bytes.'],
      [whole.subarray(0, -5), 400, 'Cannot read the request: it must be HTTP with a JSON body in UTF-8.'],
      [Buffer.from(request), 400, 'Cannot read the request: it must be HTTP with a JSON body in UTF-8.'],
      [Buffer.alloc(0), 400, 'Cannot read the request: it must be HTTP with a JSON body in UTF-8.'],
      [
        Buffer.from(encode(Buffer.from([0x22, 0xc3, 0x28, 0x22]))),
        400,
        'Cannot read the request: it must be HTTP with a JSON body in UTF-8.',
      ],
    ] as const) {
      const answer = await send(stage.graphql, body, encoding);
      expect(answer.status).toBe(status);
      expect(JSON.parse(answer.text)).toEqual({ errors: [{ message, extensions }] });
    }
    expect(stage.zitadel.calls).toEqual([]);
    expect((await stage.resend()).errors).toBeUndefined();
  },
);

test.for(['deflate', 'zstd', 'gzip, br', 'gzip, gzip', 'constructor'])(
  'refuses Content-Encoding: %s, and lists the supported ones',
  async (encoding) => {
    await using stage = await openStage();

    for (const url of [stage.graphql, `${stage.url}/nothing`]) {
      const { status, headers, text } = await send(url, deflateSync(request), encoding);
      expect([status, headers.get('accept-encoding')]).toEqual([415, 'gzip, br']);
      expect(JSON.parse(text)).toMatchObject({
        errors: [{ message: 'Set Content-Encoding to gzip or br, or omit it.', extensions }],
      });
    }
    expect(stage.zitadel.calls).toEqual([]);
  },
);

/** New connections without a request timeout: on a busy machine, these requests can take more than ten seconds. */
async function acceptedAtLeisure(stage: Awaited<ReturnType<typeof openStage>>) {
  const accepted = acceptedSockets(stage.url);
  await stage.resend();
  for (const { server } of accepted) server.requestTimeout = 0;
  return accepted;
}

/** Sends all but the last byte of a request on a new connection. */
async function openStalled(url: string, body: string, headers: Record<string, string> = {}) {
  const socket = await openSocket(url);
  socket.write(rawPost(body, headers).slice(0, -1));
  return { socket, answers: answersOn(socket) };
}

test(
  'reads only as many of 300 stalled bodies as it has memory for, and all of them in the end',
  { timeout: 120_000 },
  async () => {
    await using stage = await openStage();
    const accepted = await acceptedAtLeisure(stage);
    const read = () => accepted.reduce((bytes, { bytesRead }) => bytes + bytesRead, 0);
    const body = '{"query":"{ __typename }"'.padEnd(mib - 1) + '}';

    const stalled = await Promise.all(Array.from({ length: 300 }, () => openStalled(stage.url, body)));
    await until(() => Promise.resolve(read() >= 60 * mib));
    const large = send(stage.graphql, gzipSync(body), 'gzip');
    // Small requests are still answered. Each gives the server enough turns to read more of the large ones, if it did.
    for (let times = 0; times < 25; times += 1) {
      expect((await stage.resend()).errors).toBeUndefined();
      expect((await send(stage.graphql, gzipSync(request), 'gzip')).status).toBe(200);
    }
    // In addition to the admitted bodies, Node reads one or two pieces of at most 64 KiB from each connection.
    expect(read()).toBeLessThan(maxBodyMemory + 300 * 192 * 1024 + mib);

    for (const { socket } of stalled) socket.write('}');
    const answers = await Promise.all(stalled.map(({ answers }) => nextOf(answers)));
    expect(answers.map(({ status }) => status)).toEqual(Array(300).fill(200));
    expect((await large).status).toBe(200);
    for (const { socket } of stalled) socket.destroy();
  },
);

test('does not let clients that declare large bodies but send little block others', async () => {
  await using stage = await openStage();
  const accepted = await acceptedAtLeisure(stage);

  const stalled = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const socket = await openSocket(stage.url);
      socket.write(rawPost('{', { 'content-length': String(mib) }));
      return socket;
    }),
  );
  await until(() => Promise.resolve(accepted.length > 100 && accepted.every(({ bytesRead }) => bytesRead > 0)));

  expect((await send(stage.graphql, plain(padded(mib)), 'identity')).status).toBe(200);
  for (const socket of stalled) socket.destroy();
});

test(
  'borrows no memory for a body that is refused unread, and returns that of an incomplete one',
  { timeout: 120_000 },
  async () => {
    await using stage = await openStage();
    const accepted = await acceptedAtLeisure(stage);
    const body = padded(mib);
    for (let times = 0; times < 2; times += 1) {
      const refused = await Promise.all(
        Array.from({ length: 70 }, () => openStalled(stage.url, body, { 'content-type': 'text/plain' })),
      );
      for (const { answers } of refused) expect((await nextOf(answers)).status).toBe(415);
      const before = accepted.length;
      const hungUp = await Promise.all(Array.from({ length: 70 }, () => openStalled(stage.url, body)));
      await until(() => Promise.resolve(accepted.length === before + 70));
      await until(() => Promise.resolve(accepted.slice(before).every(({ bytesRead }) => bytesRead > 32 * 1024)));
      for (const { socket } of [...refused, ...hungUp]) socket.destroy();
    }

    expect((await send(stage.graphql, plain(body), 'identity')).status).toBe(200);
    expect((await send(stage.graphql, gzipSync(body), 'gzip')).status).toBe(200);
  },
);

test.for([
  [10_000, 200],
  [10_001, 400],
] as const)('answers a body in %i chunks of one byte with HTTP %i', async ([chunks, status]) => {
  await using stage = await openStage();
  const socket = await openSocket(stage.url);
  const head = rawPost('', { ...manager, 'transfer-encoding': 'chunked' }).replace('content-length: 0\r\n', '');
  const crumbs = Array.from(padded(chunks), (byte) => `1\r\n${byte}\r\n`).join('');

  socket.write(`${head}${crumbs}0\r\n\r\n`);
  const answer = await nextOf(answersOn(socket));

  expect(answer.status).toBe(status);
  expect(answer.head.includes('connection: close')).toBe(status === 400);
  if (status === 400) expect(JSON.parse(answer.body)).toMatchObject({ errors: [{ extensions }] });
  expect(stage.zitadel.outbox).toHaveLength(status === 200 ? 1 : 0);
  socket.destroy();
});
