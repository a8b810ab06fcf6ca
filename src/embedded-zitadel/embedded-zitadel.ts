import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { json, Refusal, type Answer, type Api, type Sms } from './answers.js';
import type { EmbeddedToken, EmbeddedUser } from './population.js';
import { findRoute, readRequest, userIdIn, type RawRequest, type Route, type Rpc } from './routes.js';
import { UserService } from './user-service.js';
import { UserStore } from './users.js';

interface Options {
  now?: () => number;
  onSms?: (sms: Sms) => void;
  /** Users in addition to the population. */
  moreUsers?: readonly EmbeddedUser[];
  /** Tokens in addition to those of the population. */
  moreTokens?: readonly EmbeddedToken[];
  /** What happens to every call for a user, by user id. Lists of users are not affected. */
  misbehaviours?: ReadonlyMap<string, LastingMisbehaviour>;
}

/** Starts a small in-memory ZITADEL on this machine, for the demo and for every test. It serves REST and Connect. */
export async function startEmbeddedZitadel({
  now = Date.now,
  onSms = () => {},
  moreUsers = [],
  moreTokens = [],
  misbehaviours: lasting = new Map(),
}: Options = {}): Promise<EmbeddedZitadel> {
  const service = new UserService(new UserStore(now, { users: moreUsers, tokens: moreTokens }), onSms);
  const calls: Call[] = [];
  const probes: Call[] = [];
  const arrivals = new EventEmitter();
  const misbehaviours: Misbehaviour[] = [];
  const writeMisbehaviours: Misbehaviour[] = [];
  const probeMisbehaviours: Misbehaviour[] = [];
  const writes = () => calls.filter(isWrite);
  const arrived = async (kind: () => readonly Call[], times: number) => {
    while (kind().length < times) await once(arrivals, 'call');
  };

  const server = createServer((request, response) => {
    readCall(request, response)
      .then(([call, route]) => {
        const [kind, wanted] = isProbe(call) ? [probes, probeMisbehaviours] : [calls, misbehaviours];
        kind.push(call);
        arrivals.emit('call');
        const misbehaviour =
          (isWrite(call) ? writeMisbehaviours.shift() : undefined) ??
          wanted.shift() ??
          lasting.get(call.userId ?? '')?.[isWrite(call) ? 'write' : 'read'];
        return respond(response, route, () => ('rpc' in route ? answer(call, route, service) : route), misbehaviour);
      })
      .catch(() => response.destroy());
  });
  // Like a real ZITADEL, which never closes an idle connection. Otherwise a write could meet a closing one on a busy machine.
  server.keepAliveTimeout = 0;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    get writes() {
      return writes();
    },
    probes,
    outbox: service.outbox,
    codes: service.codes,
    pendingCode: (userId) => service.pendingCode(userId),
    called: (times) => arrived(() => calls, times),
    written: (times) => arrived(writes, times),
    probed: (times) => arrived(() => probes, times),
    misbehave: (...next) => misbehaviours.push(...next),
    misbehaveWhenWriting: (...next) => writeMisbehaviours.push(...next),
    misbehaveWhenProbed: (...next) => probeMisbehaviours.push(...next),
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

export interface EmbeddedZitadel {
  url: string;
  /** Every call except probes, in order. */
  calls: Call[];
  /** The calls that are not reads. */
  readonly writes: readonly Call[];
  /** Every health probe: a call without a token, for a user that cannot exist. */
  probes: Call[];
  /** Every SMS that it pretended to send, in order. */
  outbox: readonly Sms[];
  /** Every code that it has created. */
  codes: readonly string[];
  /** The code that would currently verify the user's phone. */
  pendingCode(userId: string): string | undefined;
  /** Resolves when this many calls have arrived. */
  called(times: number): Promise<void>;
  /** Resolves when this many writes have arrived. */
  written(times: number): Promise<void>;
  /** Queues misbehaviour for the next calls, one for each. */
  misbehave(...next: Misbehaviour[]): void;
  /** The same for the next writes. */
  misbehaveWhenWriting(...next: Misbehaviour[]): void;
  /** The same for the next probes. */
  misbehaveWhenProbed(...next: Misbehaviour[]): void;
  /** Resolves when this many probes have arrived. */
  probed(times: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Call extends RawRequest {
  /** Undefined if the request reached no RPC. */
  rpc: Rpc | undefined;
  /** Decoded. Undefined for ListUsers. */
  userId: string | undefined;
  /** Whether the caller received the whole answer. Resolves when the answer or the connection has ended. */
  answered: Promise<boolean>;
}

/** What may happen instead of the proper answer to a call. The call is still carried out, unless stated otherwise. */
export type Misbehaviour =
  /** The answer is held back until the promise resolves. */
  | { hold: Promise<unknown> }
  /** The connection is reset without an answer. */
  | { reset: true }
  /** The answer and its connection end after this many bytes of the body. */
  | { cutOffAfter: number }
  /** There is no answer until the caller gives up, and the call is not carried out. */
  | { silence: true }
  /** This is the answer in the API of the call, and the call is not carried out. */
  | { refusal: Refusal }
  /** This is the answer, and the call is not carried out. */
  | { answer: { status: number; headers?: Record<string, string>; body?: string | Buffer } };

/** What happens to every call for one user. */
export interface LastingMisbehaviour {
  read?: Misbehaviour;
  write: Misbehaviour;
}

function isWrite({ rpc }: Call): boolean {
  return rpc !== undefined && rpc !== 'GetUserByID' && rpc !== 'ListUsers';
}

/** At any base path: the test may have put something else in front of ZITADEL. */
function isProbe({ path, headers, body }: Call): boolean {
  if (headers.authorization !== undefined) return false;
  return path.endsWith('/v2/users/0') || (path.endsWith('.UserService/GetUserByID') && /"userId": *"0"/.test(body));
}

async function readCall(request: IncomingMessage, response: ServerResponse): Promise<[Call, Route | Answer]> {
  const { method = '', url: path = '', headers } = request;
  const answered = once(response, 'close').then(() => response.writableFinished);
  const raw = { method, path, headers, body: await text(request) };
  const route = findRoute(raw);
  const [rpc, userId] = 'rpc' in route ? [route.rpc, userIdIn(route, raw)] : [];
  return [{ ...raw, rpc, userId, answered }, route];
}

function answer(call: Call, route: Route, service: UserService): Answer {
  try {
    const body = service.call(route.rpc, call.headers, readRequest(route, call));
    const type = route.api === 'connect' ? call.headers['content-type'] : undefined;
    return json(200, body, type === undefined ? {} : { 'content-type': type });
  } catch (error) {
    if (error instanceof Refusal) return error.answer(route.api);
    throw error;
  }
}

/** Sends the answer, or what was requested instead. */
async function respond(
  response: ServerResponse,
  route: Route | Answer,
  proper: () => Answer,
  wanted?: Misbehaviour,
): Promise<void> {
  if (wanted && 'silence' in wanted) return;
  const answer = answerInstead('rpc' in route ? route.api : 'rest', wanted) ?? proper();
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

function answerInstead(api: Api, wanted?: Misbehaviour): Answer | undefined {
  if (wanted && 'answer' in wanted) return { headers: {}, body: '', ...wanted.answer };
  return wanted && 'refusal' in wanted ? wanted.refusal.answer(api) : undefined;
}
