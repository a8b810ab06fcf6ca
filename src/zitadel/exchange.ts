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

/** How long a request may take, including its time in the queue. */
export interface Patience {
  /** Covers waiting for a connection, sending, and reading the whole answer. */
  deadline: Deadline;
  /** A write must start in the first half of the deadline. */
  isWrite: boolean;
}

/** The connection is intact, but the answer is unusable. */
const unreadable = [errors.HTTPParserError, errors.HeadersOverflowError, errors.ResponseExceededMaxSizeError];

/**
 * Sends one request, once, and returns the complete answer.
 *
 * @throws {ZitadelError} `timeout`, `unreachable`, or `malformed` if the answer is cut short or too large; each records whether the
 * request may have been sent
 */
export function exchange(
  pool: Pool,
  request: UpstreamRequest,
  { deadline, isWrite }: Patience,
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

    const expire = () => {
      if (controller && !deadline.hasPassed) {
        timer = setTimeout(expire, deadline.leftMs);
        return;
      }
      fail('timeout');
      controller?.abort(new Error('The deadline has passed.'));
    };
    let timer = setTimeout(expire, isWrite ? deadline.leftToStartMs : deadline.leftMs);

    const { method, path, body } = request;
    pool.dispatch(
      { method, path, body, headers: request.headers },
      {
        // Called right before the first byte is written, even for a queued request that has already timed out.
        onRequestStart(starting) {
          if (!hasFailed && (isWrite ? deadline.isTooLateToStart : deadline.hasPassed)) fail('timeout');
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
