import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { respond, type Answer, type Misbehaviour } from './misbehaviour.js';
import { Refusal } from './refusal.js';
import { UserService, type Sms, type UserServiceOptions } from './user-service.js';

/** A request as it came in, before anything is made of it. */
export interface Call {
  method: string;
  /** As it stands in the request line. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
  /** Whether the caller was there to get the whole answer; known when the answer or the connection has ended. */
  answered: Promise<boolean>;
}

export interface EmbeddedZitadel {
  url: string;
  /** Every call that it got, in order. */
  calls: Call[];
  /** Every SMS that it would have sent, in order. */
  outbox: readonly Sms[];
  /** Every code that it ever made. */
  codes: readonly string[];
  /** The code that would verify the user's phone now. */
  pendingCode(userId: string): string | undefined;
  /** Resolves when so many calls have come in. */
  called(times: number): Promise<void>;
  /** Queues something else than the proper answer for the next calls, one each. */
  misbehave(...next: Misbehaviour[]): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The host that it lets be named in `x-zitadel-instance-host`. */
export const instanceHost = 'zitadel.example.com';

/** Starts a small ZITADEL on this machine, in memory: for the demo, and for every test. */
export async function startEmbeddedZitadel({
  now = Date.now,
  onSms = () => {},
  moreUsers = [],
}: Partial<UserServiceOptions> = {}): Promise<EmbeddedZitadel> {
  const service = new UserService({ now, onSms, moreUsers });
  const calls: Call[] = [];
  const arrivals = new EventEmitter();
  const misbehaviours: Misbehaviour[] = [];

  const server = createServer((request, response) => {
    readCall(request, response)
      .then((call) => {
        calls.push(call);
        arrivals.emit('call');
        return respond(response, () => answerTo(call, service), misbehaviours.shift());
      })
      .catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    outbox: service.outbox,
    codes: service.codes,
    pendingCode: (userId) => service.pendingCode(userId),
    async called(times) {
      while (calls.length < times) await once(arrivals, 'call');
    },
    misbehave: (...next) => misbehaviours.push(...next),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function readCall(request: IncomingMessage, response: ServerResponse): Promise<Call> {
  const { method = '', url: path = '', headers } = request;
  const answered = once(response, 'close').then(() => response.writableFinished);
  return { method, path, headers, body: await text(request), answered };
}

function answerTo(call: Call, service: UserService): Answer {
  const json = (status: number, body: object) => ({
    status,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  try {
    return json(200, route(call, service));
  } catch (error) {
    if (error instanceof Refusal) return json(error.httpStatus, error.body);
    throw error;
  }
}

/** The routes by path; each takes the methods that it has a handler for. */
const routes: [path: RegExp, Partial<Record<string, Handler>>][] = [
  [/^\/v2\/users$/, { POST: (service, { headers, body }) => service.listUsers(headers, parseJson(body)) }],
  [/^\/v2\/users\/([^/]*)$/s, { GET: (service, { headers }, userId) => service.getUserById(headers, userId) }],
  [
    /^\/v2\/users\/([^/]*)\/phone\/resend$/s,
    { POST: (service, { headers, body }, userId) => service.resendPhoneCode(headers, userId, parseJson(body)) },
  ],
];

type Handler = (service: UserService, call: Call, userId: string) => object;

/** Routes on the decoded path, as ZITADEL's gateway does: an encoded slash is a slash. */
function route(call: Call, service: UserService): object {
  if ((call.headers['x-zitadel-instance-host'] ?? instanceHost) !== instanceHost) throw new Refusal(5, 'Not Found');
  const path = decodePath(call.path);
  for (const [pattern, handlers] of routes) {
    const [match, userId = ''] = pattern.exec(path) ?? [];
    if (match === undefined) continue;
    const handler = handlers[call.method];
    if (!handler) throw new Refusal(12, 'Method Not Allowed');
    return handler(service, call, userId);
  }
  throw new Refusal(5, 'Not Found');
}

function decodePath(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    throw new Refusal(3, 'malformed path');
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(3, 'proto: syntax error');
  }
}
