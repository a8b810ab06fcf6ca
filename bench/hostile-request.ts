import { request as httpRequest } from 'node:http';

/** One request that tries to cost the server more than it should. */
export interface HostileRequest {
  /** A description for operators. */
  name: string;
  /** Changes with `n`, so that no cache helps the server. */
  body(n: number): string | Buffer;
  /** No token if omitted. */
  token?: string;
  headers?: Record<string, string>;
  /** Splits the body into HTTP chunks of this many bytes. */
  chunkBytes?: number;
}

export interface Answer {
  /** undefined if the connection broke or the request timed out. */
  status: number | undefined;
  bytes: number;
  /** The first characters, for people to read. */
  start: string;
  ms: number;
}

/** The stub of ZITADEL refuses this token, and accepts others. */
export const forgedToken = 'forged';
/** The stub refuses this token too, with a message of 300 kB. */
export const longRefusalToken = 'forged-and-talked-about';
export const goodToken = 'good';

/** Part of a document: `count` pieces, each made from its index. */
export function times(count: number, part: (index: number) => string): string {
  return Array.from({ length: count }, (_, index) => part(index)).join(' ');
}

/** A GraphQL request as JSON. */
export function graphql(query: string, variables?: object, operationName?: string): string {
  return JSON.stringify({ query, variables, operationName });
}

const startLength = 500;

/** Sends it over a new connection, and reads the whole answer. Never throws: a broken connection is a result too. */
export function send(url: string, hostile: HostileRequest, n: number, timeoutMs: number): Promise<Answer> {
  const body = Buffer.from(hostile.body(n));
  const { chunkBytes } = hostile;
  return new Promise((resolve) => {
    const began = performance.now();
    const chunks: Buffer[] = [];
    let bytes = 0;
    const end = (status: number | undefined) => {
      clearTimeout(timeout);
      const start = Buffer.concat(chunks).toString().slice(0, startLength);
      resolve({ status, bytes, start, ms: performance.now() - began });
      request.destroy();
    };
    const request = httpRequest(`${url}/graphql`, {
      agent: false,
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(chunkBytes === undefined ? { 'content-length': body.length } : { 'transfer-encoding': 'chunked' }),
        ...(hostile.token !== undefined && { authorization: `Bearer ${hostile.token}` }),
        ...hostile.headers,
      },
    });
    const timeout = setTimeout(end, timeoutMs, undefined);
    request.on('error', () => end(undefined));
    request.on('response', (response) => {
      response.on('data', (chunk: Buffer) => {
        if (bytes < startLength) chunks.push(chunk);
        bytes += chunk.length;
      });
      response.on('end', () => end(response.statusCode));
      response.on('error', () => end(undefined));
    });
    if (chunkBytes === undefined) request.end(body);
    else {
      // Node would make a system call for each chunk, and so spend more time than the server.
      request.flushHeaders();
      request.once('socket', (socket) => socket.once('connect', () => socket.write(inChunks(body, chunkBytes))));
    }
  });
}

function inChunks(body: Buffer, size: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const chunk = body.subarray(at, at + size);
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}
