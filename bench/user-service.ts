import type { IncomingMessage, ServerResponse } from 'node:http';

// What the stubs of ZITADEL share. They serve REST and Connect, and their answers are as long as recorded ones.

export interface Call {
  /** Undefined at routes that the bench does not need. */
  rpc: string | undefined;
  /** Empty for ListUsers. */
  userId: string;
  body: string;
  isConnect: boolean;
}

/** Waits for the whole request. */
export function readCall(request: IncomingMessage, onCall: (call: Call) => void): void {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const body = chunks.length === 1 ? String(chunks[0]) : Buffer.concat(chunks).toString();
    onCall(callOf(request, body));
  });
}

const service = '/zitadel.user.v2.UserService/';
const routes: Partial<Record<string, string>> = {
  'GET ': 'GetUserByID',
  'POST phone/resend': 'ResendPhoneCode',
};

function callOf({ method = '', url = '' }: IncomingMessage, body: string): Call {
  if (url.startsWith(service)) {
    const rpc = url.slice(service.length);
    const { userId = '' } = rpc === 'ListUsers' ? {} : (JSON.parse(body) as { userId?: string });
    return { rpc, userId, body, isConnect: true };
  }
  if (url === '/v2/users') return { rpc: 'ListUsers', userId: '', body, isConnect: false };
  const [, , , userId = '', ...below] = url.split('/');
  return { rpc: routes[`${method} ${below.join('/')}`], userId: decodeURIComponent(userId), body, isConnect: false };
}

export function answer(response: ServerResponse, status: number, json: string, headers: object = {}): void {
  const length = Buffer.byteLength(json);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': length, ...headers });
  response.end(json);
}

const change = '"sequence":"2", "changeDate":"2026-11-23T19:04:05.123456Z", "resourceOwner":"301000000000000001"';
const details = `{${change}, "creationDate":"2026-11-20T08:15:30.654321Z"}`;

/** The answer to ResendPhoneCode. */
export const sent = `{"details":{${change}}}`;
export const returned = `{"details":{${change}}, "verificationCode":"7QK2ZD"}`;

/** Users whose id begins with this have a verified phone. All others have an unverified one, each with its own number: numbers have limits. */
const verified = '301';

/** A human with a phone. */
function user(userId: string): string {
  const name = `ada-${userId}`;
  // Zero values are omitted.
  const phone = userId.startsWith(verified)
    ? '"phone":"+41795550101", "isVerified":true'
    : `"phone":"+4179${userId.replace(/\D/g, '').slice(-7).padStart(7, '0')}"`;
  return (
    `{"userId":"${userId}", "details":${details}, "state":"USER_STATE_ACTIVE", "username":"${name}", "loginNames":["${name}"], ` +
    `"preferredLoginName":"${name}", "human":{"profile":{"givenName":"Ada", "familyName":"Keller", "nickName":"", ` +
    '"displayName":"Ada Keller", "preferredLanguage":"und", "gender":"GENDER_UNSPECIFIED"}, ' +
    `"email":{"email":"ada@example.com", "isVerified":true}, "phone":{${phone}}}}`
  );
}

/** The answer to GetUserByID. */
export const read = (userId: string) => `{"details":${details}, "user":${user(userId)}}`;

/** The answer to ListUsers. */
export function listed({ body }: Call): string {
  const { queries } = JSON.parse(body) as { queries: [{ inUserIdsQuery: { userIds: string[] } }] };
  const users = queries[0].inUserIdsQuery.userIds.map(user);
  return `{"details":{"totalResult":"${users.length}", "timestamp":"2026-11-23T19:04:05.123456Z"}, "result":[${users.join(', ')}]}`;
}
