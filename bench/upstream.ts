import { createServer } from 'node:http';

// The upstream of all peers: gives the few answers of ZITADEL that are needed, with as little work as possible.

const details = { sequence: '2', changeDate: '2026-11-23T19:04:05.123456Z', resourceOwner: '301000000000000001' };
const sent = JSON.stringify({ details });
const returned = JSON.stringify({ details, verificationCode: '7QK2ZD' });
const refused = JSON.stringify({
  code: 7,
  message: 'membership not allowed (AUTH-AWfge)',
  details: [
    { '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id: 'AUTH-AWfge', message: 'membership not allowed' },
  ],
});

const unauthenticated = (message: string) => JSON.stringify({ code: 16, message, details: [] });
/** Tokens that are refused, the second one with a long message. */
const forged = new Map([
  ['Bearer forged', unauthenticated('Errors.Token.Invalid (AUTH-7fs1e)')],
  ['Bearer forged-and-talked-about', unauthenticated('x'.repeat(300_000))],
]);

/** Nobody may have a code sent to users whose id begins with this. */
const forbidden = '/v2/users/403';

const user = (userId: string) => ({
  userId,
  details,
  state: 'USER_STATE_ACTIVE',
  human: { profile: { givenName: 'Ada', familyName: 'Keller' }, phone: { phone: '+41795550101', isVerified: true } },
});

let calls = 0;

const server = createServer((request, response) => {
  const { method, url = '' } = request;
  if (url === '/calls') {
    response.end(String(calls));
    return;
  }
  calls += 1;
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const answer = (status: number, json: string) => {
      response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) });
      response.end(json);
    };
    const body = chunks.length === 1 ? String(chunks[0]) : Buffer.concat(chunks).toString();
    const refusal = forged.get(request.headers.authorization ?? '');
    if (refusal !== undefined) answer(401, refusal);
    else if (method === 'GET') answer(200, JSON.stringify({ details, user: user(decodeURIComponent(url.slice(10))) }));
    else if (url === '/v2/users') answer(200, list(body));
    else if (url.startsWith(forbidden)) answer(403, refused);
    else answer(200, body.includes('returnCode') ? returned : sent);
  });
});

function list(body: string): string {
  const { queries } = JSON.parse(body) as { queries: [{ inUserIdsQuery: { userIds: string[] } }] };
  const result = queries[0].inUserIdsQuery.userIds.map(user);
  return JSON.stringify({ details: { totalResult: String(result.length) }, result });
}

server.listen(Number(process.env['PORT']), '127.0.0.1');
