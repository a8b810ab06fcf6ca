import type { IncomingHttpHeaders } from 'node:http';
import { errors, type Dispatcher, type Pool } from 'undici';
import type { FailedCall, Rpc } from '../failure.js';
import { failedCall } from '../failures.js';
import { hintFor } from './connector.js';

export interface UpstreamRequest {
  rpc: Rpc;
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

/** The time limit that all calls for one field share. The time starts when this is created. */
export class Deadline {
  private readonly beganAt = performance.now();

  constructor(private readonly totalMs: number) {}

  /**
   * @param share the part of the whole time: 0.5 is the first half
   * @returns the milliseconds left in it; 0 or less once it has passed
   */
  left(share = 1): number {
    return this.totalMs * share - (performance.now() - this.beganAt);
  }
}

/** The connection is intact, but the answer is unusable. */
const unreadable = [errors.HTTPParserError, errors.HeadersOverflowError, errors.ResponseExceededMaxSizeError];

/**
 * Sends one request, once, and returns the complete answer.
 *
 * @param deadline covers connecting, sending, and reading the whole answer
 * @param startShare the share of that time in which the request must start
 * @throws {Failure} `timeout`, `unreachable`, or `malformed` if the answer is cut short or too large; each records whether the
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

    const fail = (kind: FailedCall['kind'], cause?: unknown, connectionBroke = false) => {
      hasFailed = true;
      clearTimeout(timer);
      const sent = controller !== undefined;
      const known = httpStatus !== undefined && { httpStatus };
      reject(failedCall({ rpc: request.rpc, kind, sent, connectionBroke, ...known }, cause, () => hintFor(cause)));
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
          resolve({ httpStatus: httpStatus ?? 0, headers, body: whole(chunks) });
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

/** Most answers arrive in one chunk, which needs no copy. */
function whole(chunks: readonly Buffer[]): Buffer {
  const [first] = chunks;
  return first && chunks.length === 1 ? first : Buffer.concat(chunks);
}
