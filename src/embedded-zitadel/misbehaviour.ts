import type { ServerResponse } from 'node:http';

/** What a test may ask for in place of the proper answer to a call. The call is carried out all the same, unless it says otherwise. */
export type Misbehaviour =
  /** The answer is held back until the promise resolves. */
  | { hold: Promise<unknown> }
  /** The connection is reset without an answer. */
  | { reset: true }
  /** The answer ends after so many bytes of its body, and the connection with it. */
  | { cutOffAfter: number }
  /** Something else is answered, and the call is not carried out. */
  | { answer: { status: number; headers?: Record<string, string>; body?: string | Buffer } };

export interface Answer {
  status: number;
  headers: Record<string, string>;
  body: string | Buffer;
}

/** Gives the answer, or what a test asked for in its place. */
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
