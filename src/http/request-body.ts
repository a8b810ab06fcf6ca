import { isUtf8 } from 'node:buffer';
import type { Readable } from 'node:stream';
import type { FastifyBodyParser, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import {
  BodyMemory,
  contentEncodings,
  decoderOf,
  isKnownEncoding,
  isTooLarge,
  smallBody,
  type Decoder,
  type Loan,
} from './body-memory.js';
import { refuse } from './refusals.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** The memory of its body; undefined if the body is small. */
    loan: Loan | undefined;
  }
}

/** Each chunk costs an event and a buffer: 1 MB in chunks of one byte takes two seconds and 400 MB of memory. */
const maxChunks = 10_000;

/** Reads JSON bodies of at most `limit` bytes, compressed or not. Large ones wait until there is memory for them. */
export function readBodies(app: FastifyInstance, limit: number): void {
  const memory = new BodyMemory();
  app.decorateRequest('loan', undefined);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, readJson(app, memory, limit));

  app.addHook('preParsing', (request, reply, payload, done) => {
    const { 'content-encoding': encoding, 'content-length': length, 'transfer-encoding': transfer } = request.headers;
    if (encoding && !isKnownEncoding(encoding)) {
      // This header indicates that the problem is the encoding, not the type: RFC 9110, section 12.5.3.
      refuse(reply.header('accept-encoding', contentEncodings), 415, 'Set Content-Encoding to gzip or br, or omit it.');
      return;
    }
    const declared = transfer === undefined ? Number(length ?? 0) : limit;
    if (transfer !== undefined) limitChunks(reply, payload);
    // Fastify refuses larger ones without reading them.
    if (declared > smallBody && declared <= limit) {
      holdBack(request, reply, payload, memory, encoding && decoderOf(encoding) ? limit : declared);
    }
    done(null, payload);
  });
  app.addHook('onSend', ({ loan }, _reply, payload, done) => {
    if (loan) memory.giveBack(loan);
    done(null, payload);
  });
}

function limitChunks(reply: FastifyReply, payload: Readable): void {
  let chunks = 0;
  const count = () => {
    chunks += 1;
    if (chunks <= maxChunks) return;
    payload.off('data', count);
    reply.header('connection', 'close');
    payload.emit('error', unreadable('The body has too many chunks.'));
  };
  payload.on('data', count);
}

/**
 * Pauses a body after its first `smallBody` bytes until there is memory for all of it. A client that declares a large body but sends
 * nothing must not reserve any memory.
 */
function holdBack(
  request: FastifyRequest,
  reply: FastifyReply,
  payload: Readable,
  memory: BodyMemory,
  bytes: number,
): void {
  let received = 0;
  const count = (chunk: Buffer) => {
    received += chunk.length;
    if (received <= smallBody) return;
    payload.off('data', count);
    // Already refused: the rest is discarded, and memory borrowed now would never be given back.
    if (reply.sent) return;
    payload.pause();
    request.loan = memory.borrow(bytes, () => payload.resume());
  };
  payload.on('data', count);
}

/** Parses JSON of at most `limit` bytes, after decompressing it if necessary. */
function readJson(app: FastifyInstance, memory: BodyMemory, limit: number): FastifyBodyParser<Buffer> {
  const parse = app.getDefaultJsonParser('error', 'error');
  return (request, body, done) => {
    const parseUtf8 = (json: Buffer) => {
      if (request.loan) memory.shrink(request.loan, json.length);
      // Otherwise invalid bytes in an id or a code would become replacement characters. JSON must be UTF-8: RFC 8259, section 8.1.
      if (isUtf8(json)) void parse(request, json.toString(), done);
      else done(unreadable('The body is not UTF-8.'));
    };
    const encoding = request.headers['content-encoding'];
    const decoder = encoding ? decoderOf(encoding) : undefined;
    if (decoder) decompress(request, body, decoder, memory, limit).then(parseUtf8, done);
    else parseUtf8(body);
  };
}

/**
 * Decompresses a body that has arrived in full. Decompressing it as it arrives would tie up a decoder for each client that never
 * sends the rest.
 */
async function decompress(
  request: FastifyRequest,
  body: Buffer,
  { decode, decodeSync }: Decoder,
  memory: BodyMemory,
  limit: number,
): Promise<Buffer> {
  try {
    if (!request.loan) {
      const json = upTo(smallBody, (options) => decodeSync(body, options));
      if (json) return json;
      await borrow(request, memory, limit);
    }
    return await decode(body, { maxOutputLength: limit });
  } catch (cause) {
    throw unreadable('The body cannot be decompressed.', isTooLarge(cause) ? 413 : 400, cause);
  }
}

/** @returns undefined if the result would be larger */
function upTo(maxOutputLength: number, decode: (options: { maxOutputLength: number }) => Buffer): Buffer | undefined {
  try {
    return decode({ maxOutputLength });
  } catch (error) {
    if (isTooLarge(error)) return undefined;
    throw error;
  }
}

/** Waits for memory as long as the client stays connected. */
function borrow(request: FastifyRequest, memory: BodyMemory, bytes: number): Promise<void> {
  const { socket } = request.raw;
  return new Promise((resolve, reject) => {
    const hungUp = () => reject(new Error('The client hung up.'));
    socket.once('close', hungUp);
    request.loan = memory.borrow(bytes, () => {
      socket.off('close', hungUp);
      resolve();
    });
  });
}

function unreadable(message: string, statusCode = 400, cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { statusCode });
}
