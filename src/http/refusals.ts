import { createHash, timingSafeEqual } from 'node:crypto';
import { maxHeaderSize, STATUS_CODES, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, onRequestHookHandler } from 'fastify';
import type { Failure } from '../failure.js';
import { refusedRequest } from '../failures.js';

declare module 'fastify' {
  interface FastifyReply {
    /** undefined unless the request was refused before GraphQL ran. */
    refusal: Failure | undefined;
  }
}

/** By status, the default message for a request that is refused before GraphQL runs. */
const messages: Partial<Record<number, string>> = {
  400: 'Cannot read the request: it must be HTTP with a JSON body in UTF-8.',
  403: 'Only the router may call this server: x-router-secret is missing or wrong.',
  406: 'Cannot satisfy Accept: the supported types are application/json and application/graphql-response+json.',
  408: 'The request took too long to arrive.',
  415: 'Set Content-Type to application/json.',
  417: 'Cannot satisfy Expect: only 100-continue is supported.',
  431: `The request headers are too large: the limit is ${maxHeaderSize} bytes.`,
};

const json = 'application/json; charset=utf-8';

/** Has the shape of a GraphQL response, so clients need to handle only one shape. Repeats nothing from the request. */
const bodyOf = (failure: Failure) =>
  `${JSON.stringify({ errors: [{ message: failure.message, extensions: failure.toExtensions() }] })}\n`;

/** @param message replaces the default message of the status */
export function refuse(reply: FastifyReply, statusCode: number, message = messages[statusCode]): FastifyReply {
  if (!reply.hasHeader('content-type')) reply.type(json);
  reply.refusal = refusedRequest(statusCode, message);
  return reply.code(statusCode).send(bodyOf(reply.refusal));
}

const digest = (text: string) => createHash('sha256').update(text).digest();

/** Refuses a request without one of the secrets in `x-router-secret`, before its body is read. */
export class RouterOnly {
  // Constant-time comparison needs equal lengths, which digests have.
  private known: readonly Buffer[];

  constructor(secrets: readonly string[]) {
    this.known = secrets.map(digest);
  }

  /** Accepts these secrets from now on, and no others. */
  rotate(secrets: readonly string[]): void {
    this.known = secrets.map(digest);
  }

  readonly hook: onRequestHookHandler = (request, reply, done) => {
    const shown = digest(String(request.headers['x-router-secret'] ?? ''));
    // Compare with every secret, so that timing does not reveal which one matched.
    const matches = this.known.filter((secret) => timingSafeEqual(secret, shown));
    if (matches.length > 0) done();
    else refuse(reply, 403);
  };
}

const statusOfParserError: Partial<Record<string, number>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

/**
 * Refuses bytes that are not HTTP, or requests that arrive too slowly, on the bare socket: there is no request object yet. The client must not
 * mistake this refusal for the answer to another request: one that is still being answered, or the first one on a connection that it
 * opened in advance.
 *
 * @param last the answer to the last request on this connection, finished or not
 * @returns undefined if the client got no answer
 */
export function refuseRaw(
  error: Error & { code?: string },
  socket: Socket,
  last: ServerResponse | undefined,
): { httpStatus: number; refusal: Failure } | undefined {
  if (!socket.writable) return undefined;
  if (last && !last.closed && last.req.complete) {
    endAfter(last, socket);
    return undefined;
  }
  const statusCode = statusOfParserError[error.code ?? ''] ?? 400;
  if (statusCode === 408 && socket.bytesRead === 0) {
    closeUnused(socket);
    return undefined;
  }
  const isInBody = last !== undefined && !last.req.complete;
  const isAnswerable = !isInBody || (last.socket === socket && !last.headersSent);
  const refusal = refusedRequest(statusCode, messages[statusCode]);
  if (isAnswerable) {
    const body = bodyOf(refusal);
    socket.write(
      `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode] ?? ''}\r\nConnection: close\r\nCache-Control: no-store\r\n` +
        `Content-Type: ${json}\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
  }
  socket.destroySoon();
  return isAnswerable ? { httpStatus: statusCode, refusal } : undefined;
}

/** Closes a connection that was opened in advance. If this server is busy, there may be a request that it has not read yet. */
function closeUnused(socket: Socket): void {
  const close = () => {
    if (socket.bytesRead === 0) socket.destroy();
  };
  // Anything that has arrived is read in this turn of the event loop or the next.
  setImmediate(() => setImmediate(close));
}

/** Stops reading from the connection, and closes it after this answer. */
function endAfter(answer: ServerResponse, socket: Socket): void {
  socket.pause();
  if (!answer.headersSent) answer.setHeader('connection', 'close');
  answer.once('close', () => socket.destroySoon());
}
