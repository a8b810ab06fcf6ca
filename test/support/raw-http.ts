import type { Socket } from 'node:net';

/** The raw bytes of a GraphQL request. */
export function rawPost(body: string, headers: Record<string, string> = {}): string {
  const all = { host: 'a', 'content-type': 'application/json', 'content-length': String(body.length), ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST /graphql HTTP/1.1\r\n${lines.join('')}\r\n${body}`;
}

export const rawGet = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;

interface RawAnswer {
  status: number;
  /** The status line and the headers, in lower case. */
  head: string;
  body: string;
}

/** The answers on a raw connection, one by one, until it ends. Each must have a Content-Length. */
export async function* answersOn(socket: Socket): AsyncGenerator<RawAnswer, undefined> {
  let received = '';
  for await (const chunk of socket.setEncoding('latin1')) {
    received += chunk as string;
    for (;;) {
      const headEnd = received.indexOf('\r\n\r\n') + 4;
      if (headEnd < 4) break;
      const head = received.slice(0, headEnd).toLowerCase();
      const end = headEnd + Number(/^content-length: (\d+)/m.exec(head)?.[1] ?? 0);
      if (received.length < end) break;
      const body = received.slice(headEnd, end);
      received = received.slice(end);
      yield { status: Number(head.slice(9, 12)), head, body };
    }
  }
  return undefined;
}

/** The next answer on a connection. Fails if there is none. */
export async function nextOf(answers: AsyncGenerator<RawAnswer, undefined>): Promise<RawAnswer> {
  const { value } = await answers.next();
  if (!value) throw new Error('The connection has ended.');
  return value;
}
