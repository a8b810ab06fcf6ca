import { isUtf8 } from 'node:buffer';
import type { FastifyBodyParser, FastifyInstance, FastifyRequest } from 'fastify';
import { smallBody, type BodyMemory } from './body-memory.js';
import { decoderOf, isTooLarge, type Decoder } from './content-encoding.js';

/** Parses JSON of at most `limit` bytes, after decompressing it if necessary. */
export function readJson(app: FastifyInstance, memory: BodyMemory, limit: number): FastifyBodyParser<Buffer> {
  const parse = app.getDefaultJsonParser('error', 'error');
  return (request, body, done) => {
    const parseUtf8 = (json: Buffer) => {
      memory.shrink(request, json.length);
      // Otherwise invalid bytes in an id or a code would become replacement characters. JSON must be UTF-8: RFC 8259, section 8.1.
      if (isUtf8(json)) void parse(request, json.toString(), done);
      else done(unreadable('The body is not UTF-8.'));
    };
    const decoder = decoderOf(request.headers['content-encoding']);
    if (decoder) decompress(request, body, decoder, memory, limit).then(parseUtf8, done);
    else parseUtf8(body);
  };
}

/**
 * Decompresses a body that has arrived in full. Decompressing during arrival would tie up a decoder for each client that never sends the
 * rest.
 */
async function decompress(
  request: FastifyRequest,
  body: Buffer,
  { decode, decodeSync }: Decoder,
  memory: BodyMemory,
  limit: number,
): Promise<Buffer> {
  try {
    if (!memory.has(request)) {
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
    memory.borrow(request, bytes, () => {
      socket.off('close', hungUp);
      resolve();
    });
  });
}

function unreadable(message: string, statusCode = 400, cause?: unknown): Error {
  return Object.assign(new Error(message, { cause }), { statusCode });
}
