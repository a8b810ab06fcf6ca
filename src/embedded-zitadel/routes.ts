import type { IncomingHttpHeaders } from 'node:http';
import type { PhoneCommands } from './commands.js';
import { Refusal } from './callers.js';
import type { UserQueries } from './users.js';

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

interface UserService {
  queries: UserQueries;
  commands: PhoneCommands;
}

type Handler = (service: UserService, request: RawRequest, userId: string) => unknown;

/** The RPCs by path and method. */
const routes: [path: RegExp, Partial<Record<string, Handler>>][] = [
  [/^\/debug\/(healthz|ready)$/, { GET: () => 'ok' }],
  [/^\/v2\/users$/, { POST: ({ queries }, { headers, body }) => queries.listUsers(headers, parseJson(body)) }],
  [/^\/v2\/users\/([^/]*)$/s, { GET: ({ queries }, { headers }, userId) => queries.getUserById(headers, userId) }],
  [
    /^\/v2\/users\/([^/]*)\/phone$/s,
    {
      POST: ({ commands }, { headers, body }, userId) => commands.setPhone(headers, userId, parseJson(body)),
      DELETE: ({ commands }, { headers }, userId) => commands.removePhone(headers, userId),
    },
  ],
  [
    /^\/v2\/users\/([^/]*)\/phone\/resend$/s,
    { POST: ({ commands }, { headers, body }, userId) => commands.resendPhoneCode(headers, userId, parseJson(body)) },
  ],
  [
    /^\/v2\/users\/([^/]*)\/phone\/verify$/s,
    { POST: ({ commands }, { headers, body }, userId) => commands.verifyPhone(headers, userId, parseJson(body)) },
  ],
];

/**
 * Carries out a request. Routes on the decoded path, as ZITADEL's gateway does: an encoded slash counts as a slash.
 *
 * @throws {Refusal}
 */
export function route(request: RawRequest, service: UserService): unknown {
  refuseOtherCharacters(request);
  if ((request.headers['x-zitadel-instance-host'] ?? instanceHost) !== instanceHost) throw new Refusal(5, 'Not Found');
  const path = decodePath(request.path);
  for (const [pattern, handlers] of routes) {
    const [match, userId = ''] = pattern.exec(path) ?? [];
    if (match === undefined) continue;
    const handler = handlers[request.method];
    if (!handler) throw new Refusal(12, 'Method Not Allowed');
    return handler(service, request, userId);
  }
  throw new Refusal(5, 'Not Found');
}

/** ZITADEL's REST gateway first forwards the path and the token as gRPC metadata, which may only contain printable ASCII. */
function refuseOtherCharacters({ path, headers: { authorization = '' } }: RawRequest): void {
  if (/[^\x20-\x7e]/.test(decodePath(path) + authorization)) {
    throw new Refusal(13, 'header key "zitadel-activity-path" contains value with non-printable ASCII characters');
  }
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
