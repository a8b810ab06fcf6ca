import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { BodyMemory, smallBody } from './body-memory.js';
import { contentEncodings, decoderOf, isKnownEncoding } from './content-encoding.js';
import { readJson } from './json-body.js';
import { refuse } from './refusals.js';

const maxChunks = 10_000;

/** Reads JSON bodies of at most `limit` bytes, compressed or not. Large ones wait until there is memory for them. */
export function readBodies(app: FastifyInstance, limit: number): void {
  const memory = new BodyMemory();
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, readJson(app, memory, limit));

  app.addHook('preParsing', (request, reply, payload, done) => {
    const { 'content-encoding': encoding, 'content-length': length, 'transfer-encoding': transfer } = request.headers;
    if (!isKnownEncoding(encoding)) {
      // This header indicates that the problem is the encoding, not the type: RFC 9110, section 12.5.3.
      refuse(
        reply.header('accept-encoding', contentEncodings),
        415,
        'Set Content-Encoding to gzip or br, or leave it out.',
      );
      return;
    }
    const declared = transfer === undefined ? Number(length ?? 0) : limit;
    if (transfer !== undefined) limitChunks(reply, payload);
    // Fastify refuses larger ones without reading them.
    if (declared > smallBody && declared <= limit) {
      holdBack(request, reply, payload, memory, decoderOf(encoding) ? limit : declared);
    }
    done(null, payload);
  });
  app.addHook('onSend', (request, _reply, payload, done) => {
    memory.giveBack(request);
    done(null, payload);
  });
}

/** Each chunk costs an event and a buffer: 1 MB in chunks of one byte takes two seconds and 400 MB of memory. */
function limitChunks(reply: FastifyReply, payload: Readable): void {
  let chunks = 0;
  const count = () => {
    chunks += 1;
    if (chunks <= maxChunks) return;
    payload.off('data', count);
    reply.header('connection', 'close');
    payload.emit('error', Object.assign(new Error('The body has too many chunks.'), { statusCode: 400 }));
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
    memory.borrow(request, bytes, () => payload.resume());
  };
  payload.on('data', count);
}
