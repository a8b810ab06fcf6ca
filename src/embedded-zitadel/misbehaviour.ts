import type { ServerResponse } from 'node:http';

/** What a test may request instead of the proper answer to a call. The call is still carried out, unless stated otherwise. */
export type Misbehaviour =
  /** The answer is held back until the promise resolves. */
  | { hold: Promise<unknown> }
  /** The connection is reset without an answer. */
  | { reset: true }
  /** The answer and its connection end after this many bytes of the body. */
  | { cutOffAfter: number }
  /** This is the answer, and the call is not carried out. */
  | { answer: { status: number; headers?: Record<string, string>; body?: string | Buffer } };

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string | Buffer;
}

/** Sends the answer, or what a test requested instead. */
export async function respond(
  response: ServerResponse,
  proper: () => Answer,
  wanted: Misbehaviour | undefined,
): Promise<void> {
  const answer = wanted && 'answer' in wanted ? { headers: {}, body: '', ...wanted.answer } : proper();
  if (wanted && 'hold' in wanted) await wanted.hold;
  if (wanted && 'reset' in wanted) {
    response.socket?.resetAndDestroy();
    return;
  }
  response.writeHead(answer.status, { 'content-length': Buffer.byteLength(answer.body), ...answer.headers });
  if (wanted && 'cutOffAfter' in wanted) {
    response.write(answer.body.slice(0, wanted.cutOffAfter), () => response.socket?.destroy());
    return;
  }
  response.end(answer.body);
}
