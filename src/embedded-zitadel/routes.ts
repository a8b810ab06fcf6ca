import type { IncomingHttpHeaders } from 'node:http';
import { posix } from 'node:path';
import * as z from 'zod';
import { json, plainText, Refusal, type Answer, type Api } from './answers.js';

// How requests are routed and decoded. ZITADEL does both before it checks the token.

/** The only host that it accepts in `x-zitadel-instance-host`. */
export const instanceHost = 'zitadel.example.com';

/** An unparsed request. */
export interface RawRequest {
  method: string;
  /** As in the request line. */
  path: string;
  headers: IncomingHttpHeaders;
  body: string;
}

const text = z.string().default('');
const empty = z.object({}).optional();
const uint32 = z
  .union([z.number(), z.string().regex(/^\d+$/).transform(Number)])
  .pipe(z.int().min(0).max(0xffff_ffff))
  .default(0);

/** At most one field of a oneof may be set. */
const atMostOne = (...fields: unknown[]) => fields.filter((field) => field !== undefined).length <= 1;

/** The request of each RPC, with the fields that are read. All others are dropped, as ZITADEL drops unknown fields. */
const requests = {
  GetUserByID: z.object({ userId: text }),
  ListUsers: z.object({
    query: z.object({ limit: uint32, asc: z.boolean().default(false) }).prefault({}),
    queries: z
      .array(z.object({ inUserIdsQuery: z.object({ userIds: z.array(z.string()).default([]) }).optional() }))
      .default([]),
  }),
  SetPhone: z
    .object({ userId: text, phone: text, sendCode: empty, returnCode: empty, isVerified: z.boolean().optional() })
    .refine(({ sendCode, returnCode, isVerified }) => atMostOne(sendCode, returnCode, isVerified)),
  ResendPhoneCode: z
    .object({ userId: text, sendCode: empty, returnCode: empty })
    .refine(({ sendCode, returnCode }) => atMostOne(sendCode, returnCode)),
  VerifyPhone: z.object({ userId: text, verificationCode: text }),
  RemovePhone: z.object({ userId: text }),
};

export type Rpc = keyof typeof requests;
export type Requests = { [R in Rpc]: z.infer<(typeof requests)[R]> };

export interface Route {
  api: Api;
  rpc: Rpc;
  /** From the path. Over Connect it is in the body. */
  userId?: string;
}

const restRoutes: [path: RegExp, Partial<Record<string, Rpc>>][] = [
  [/^\/v2\/users$/, { POST: 'ListUsers' }],
  [/^\/v2\/users\/([^/]*)$/s, { GET: 'GetUserByID' }],
  [/^\/v2\/users\/([^/]*)\/phone$/s, { POST: 'SetPhone', DELETE: 'RemovePhone' }],
  [/^\/v2\/users\/([^/]*)\/phone\/resend$/s, { POST: 'ResendPhoneCode' }],
  [/^\/v2\/users\/([^/]*)\/phone\/verify$/s, { POST: 'VerifyPhone' }],
];

/** @returns the route of a request, or the answer if it reaches no RPC */
export function findRoute(request: RawRequest): Route | Answer {
  const [path = ''] = request.path.split('?');
  if (/%(?![0-9a-f]{2})/i.test(path)) return plainText(400, '400 Bad Request');
  // An encoded slash counts as a slash.
  const decoded = decodePath(path);
  const clean = posix.normalize(decoded);
  if (clean !== decoded) return { status: 301, headers: { location: encodeURI(clean) }, body: '' };

  if (clean === '/debug/healthz') return plainText(200, 'ok');
  if (clean === '/debug/ready') return json(200, 'ok');
  const [, method] = /^\/zitadel\.user\.v2\.UserService\/(.*)$/s.exec(clean) ?? [];
  return method === undefined ? findRestRoute(clean, request.method) : findConnectRoute(method, request);
}

function findRestRoute(path: string, verb: string): Route | Answer {
  for (const [pattern, rpcs] of restRoutes) {
    const match = pattern.exec(path);
    if (!match) continue;
    const rpc = rpcs[verb];
    if (!rpc) return new Refusal(12, 'Method Not Allowed').answer('rest');
    const [, userId] = match;
    return { api: 'rest', rpc, ...(userId !== undefined && { userId }) };
  }
  return new Refusal(5, 'Not Found').answer('rest');
}

const acceptedTypes =
  'application/grpc, application/grpc+json, application/grpc+json; charset=utf-8, application/grpc+proto, ' +
  'application/grpc-web, application/grpc-web+json, application/grpc-web+json; charset=utf-8, application/grpc-web+proto, ' +
  'application/json, application/json; charset=utf-8, application/proto';

function findConnectRoute(rpc: string, { method: verb, headers }: RawRequest): Route | Answer {
  if (!Object.hasOwn(requests, rpc)) {
    return plainText(404, '404 page not found\n', { 'x-content-type-options': 'nosniff' });
  }
  if (verb !== 'POST') return { status: 405, headers: { allow: 'POST' }, body: '' };
  if (!/^application\/json(; *charset=utf-8)?$/i.test(headers['content-type'] ?? '')) {
    return { status: 415, headers: { 'accept-post': acceptedTypes }, body: '' };
  }
  return { api: 'connect', rpc: rpc as Rpc };
}

/** Bytes that are not UTF-8 become replacement characters. */
function decodePath(path: string): string {
  const bytes = path.replace(/%(..)/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString();
}

/**
 * Reads a request as far as ZITADEL does before it authenticates the caller.
 *
 * @throws {Refusal} in the order of ZITADEL's own checks
 */
export function readRequest(route: Route, request: RawRequest): Requests[Rpc] {
  const message = decode(route, request);
  refuseOtherCharacters(route, request.headers);
  refuseOtherInstances(request.headers);
  return message;
}

/** Decodes proto3 JSON. Over REST, no body means an empty message, and the user id in the path wins. */
function decode({ api, rpc, userId }: Route, { method, body }: RawRequest): Requests[Rpc] {
  const hasBody = api === 'connect' || (method === 'POST' && body !== '');
  const { data, success } = requests[rpc].safeParse(parseJson(hasBody ? body : '{}'));
  if (success) return { ...data, ...(userId !== undefined && { userId }) };
  const text = 'proto: syntax error';
  throw new Refusal(3, api === 'rest' ? text : `unmarshal message: unmarshal into *user.${rpc}Request: ${text}`);
}

/** Names may be in snake case, and null means absent. */
function parseJson(body: string): unknown {
  try {
    return JSON.parse(body, (_, value: unknown) => {
      if (typeof value !== 'object' || Array.isArray(value)) return value;
      if (value === null) return undefined;
      return Object.fromEntries(Object.entries(value).map(([name, field]) => [camelCase(name), field]));
    });
  } catch {
    return undefined;
  }
}

const camelCase = (name: string) => name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** The user id in a request that reached a route. */
export function userIdIn({ userId }: Route, { body }: RawRequest): string | undefined {
  if (userId !== undefined) return userId;
  const fields = z.object({ userId: z.string() }).safeParse(parseJson(body));
  return fields.data?.userId;
}

/** ZITADEL's REST gateway forwards the path and the token as gRPC metadata, which may only contain printable ASCII. */
function refuseOtherCharacters({ userId = '', api }: Route, { authorization = '' }: IncomingHttpHeaders): void {
  if (api === 'rest' && /[^\x20-\x7e]/.test(userId + authorization)) {
    throw new Refusal(13, 'header key "zitadel-activity-path" contains value with non-printable ASCII characters');
  }
}

function refuseOtherInstances({ 'x-zitadel-instance-host': origin }: IncomingHttpHeaders): void {
  const host = String(origin ?? '');
  if ([`http://${instanceHost}`, `https://${instanceHost}`, instanceHost, ''].includes(host.replace(/:\d+$/, '')))
    return;
  throw new Refusal(
    5,
    `unable to set instance using origin &{${host}  http} (ExternalDomain is ${instanceHost}): ` +
      'ID=QUERY-1kIjX Message=Instance not found. Make sure you got the domain right. ' +
      'Check out https://zitadel.com/docs/apis/introduction#domains',
  );
}
