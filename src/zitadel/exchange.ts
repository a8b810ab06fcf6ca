import type { IncomingHttpHeaders } from 'node:http';
import { errors, type Dispatcher, type Pool } from 'undici';
import type { Deadline } from './deadline.js';
import { ZitadelError, type ZitadelErrorKind } from './zitadel-error.js';

export interface UpstreamRequest {
  /** The RPC's name, for error messages. */
  operation: string;
  method: 'GET' | 'POST' | 'DELETE';
  path: string;
  headers: Record<string, string | undefined>;
  body: string | null;
}

/** A complete HTTP answer with any status. */
export interface UpstreamAnswer {
  httpStatus: number;
  headers: IncomingHttpHeaders;
  /** Not decoded: see `content-encoding`. */
  body: Buffer;
}

/** The connection is intact, but the answer is unusable. */
const unreadable = [errors.HTTPParserError, errors.HeadersOverflowError, errors.ResponseExceededMaxSizeError];

/**
 * Sends one request, once, and returns the complete answer.
 *
 * @param deadline covers connecting, sending, and reading the whole answer
 * @param startShare the share of that time in which the request must start
 * @throws {ZitadelError} `timeout`, `unreachable`, or `malformed` if the answer is cut short or too large; each records whether the
 * request may have been sent
 */
export function exchange(
  pool: Pool,
  request: UpstreamRequest,
  deadline: Deadline,
  startShare: number,
): Promise<UpstreamAnswer> {
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let httpStatus: number | undefined;
    let headers: IncomingHttpHeaders = {};
    let hasFailed = false;
    const chunks: Buffer[] = [];

    const fail = (kind: ZitadelErrorKind, cause?: unknown, connectionBroke = false) => {
      hasFailed = true;
      clearTimeout(timer);
      const facts = { sent: controller !== undefined, connectionBroke, httpStatus };
      reject(new ZitadelError(request.operation, kind, facts, cause));
    };

    const timer = setTimeout(
      () => {
        fail('timeout');
        controller?.abort(new Error('The deadline has passed.'));
      },
      // Node.js warns about negative timeouts.
      Math.max(1, deadline.left()),
    );

    const { method, path, body } = request;
    pool.dispatch(
      { method, path, body, headers: request.headers },
      {
        // Called right before the first byte is written, even if connecting took so long that the request has timed out.
        onRequestStart(starting) {
          if (!hasFailed && deadline.left(startShare) <= 0) fail('timeout');
          if (hasFailed) starting.abort(new Error('It is too late to start.'));
          else controller = starting;
        },
        onResponseStart(_, statusCode, responseHeaders) {
          if (statusCode < 200) return; // informational, not the answer yet
          httpStatus = statusCode;
          headers = responseHeaders;
        },
        onResponseData(_, chunk) {
          chunks.push(chunk);
        },
        onResponseEnd() {
          clearTimeout(timer);
          resolve({ httpStatus: httpStatus ?? 0, headers, body: Buffer.concat(chunks) });
        },
        onResponseError(_, error) {
          if (hasFailed) return;
          const isUnreadable = unreadable.some((type) => error instanceof type);
          const began = httpStatus !== undefined || isUnreadable;
          fail(began ? 'malformed' : 'unreachable', error, !isUnreadable);
        },
      },
    );
  });
}
