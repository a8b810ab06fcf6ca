import type { IncomingHttpHeaders } from 'node:http';
import { errors, type Dispatcher, type Pool } from 'undici';
import { ZitadelError, type ZitadelErrorKind } from './zitadel-error.js';

export interface UpstreamRequest {
  /** The RPC's name, for error messages. */
  operation: string;
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  headers: Record<string, string | undefined>;
  body: string | null;
}

/** A whole HTTP answer of any status. */
export interface UpstreamAnswer {
  httpStatus: number;
  headers: IncomingHttpHeaders;
  body: string;
}

/** What came over a connection that holds, but is no answer for us. */
const unreadable = [errors.HTTPParserError, errors.HeadersOverflowError, errors.ResponseExceededMaxSizeError];

/**
 * Sends one request, once, and gives back the whole answer.
 *
 * @param deadlineMs for everything: waiting for a connection, sending, and reading the answer to its end
 * @throws {ZitadelError} `timeout`, `unreachable`, or `malformed` when the answer broke off or is too large; each tells whether
 * the request may have left
 */
export function exchange(pool: Pool, request: UpstreamRequest, deadlineMs: number): Promise<UpstreamAnswer> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let httpStatus: number | undefined;
    let headers: IncomingHttpHeaders = {};
    const chunks: Buffer[] = [];

    const fail = (kind: ZitadelErrorKind, cause?: unknown, connectionBroke = false) => {
      clearTimeout(deadline);
      const facts = { sent: controller !== undefined, connectionBroke, httpStatus };
      reject(new ZitadelError(request.operation, kind, facts, cause));
    };

    let expired = false;
    const deadline = setTimeout(() => {
      expired = true;
      fail('timeout');
      controller?.abort(new Error('The deadline has passed.'));
    }, deadlineMs);

    const { method, path, body } = request;
    pool.dispatch(
      { method, path, body, headers: request.headers },
      {
        onRequestStart(starting) {
          // Called right before the first byte is written, also for a request whose deadline passed in the queue.
          if (expired) starting.abort(new Error('The deadline has passed.'));
          else controller = starting;
        },
        onResponseStart(_, statusCode, responseHeaders) {
          if (statusCode < 200) return; // no answer yet, but hints
          httpStatus = statusCode;
          headers = responseHeaders;
        },
        onResponseData(_, chunk) {
          chunks.push(chunk);
        },
        onResponseEnd() {
          clearTimeout(deadline);
          resolve({ httpStatus: httpStatus ?? 0, headers, body: Buffer.concat(chunks).toString() });
        },
        onResponseError(_, error) {
          const isUnreadable = unreadable.some((type) => error instanceof type);
          const began = httpStatus !== undefined || isUnreadable;
          fail(began ? 'malformed' : 'unreachable', error, !isUnreadable);
        },
      },
    );
  });
}
