import { createServer } from 'node:http';
import { answer, listed, read, readCall, returned, sent } from './user-service.js';

// The upstream of all peers: gives the few ZITADEL answers that they need, with as little work as possible.

/** Users whose id begins with this may be read, but no code may be sent to them. */
const forbidden = '403';

// As recorded, over REST and over Connect.
const refused = JSON.stringify({
  code: 7,
  message: 'No matching permissions found (AUTH-AWfge)',
  details: [
    {
      '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail',
      id: 'AUTH-AWfge',
      message: 'No matching permissions found',
    },
  ],
});
const refusedOverConnect = JSON.stringify({
  code: 'permission_denied',
  message: 'No matching permissions found (AUTH-AWfge)',
  details: [
    {
      type: 'zitadel.v1.ErrorDetail',
      value: 'CgpBVVRILUFXZmdlEh1ObyBtYXRjaGluZyBwZXJtaXNzaW9ucyBmb3VuZA',
      debug: { id: 'AUTH-AWfge', message: 'No matching permissions found' },
    },
  ],
});

/** Tokens that are refused, the last one with a long message. A probe has none. */
const forged = new Map([
  ['', 'auth header missing'],
  ['Bearer forged', 'Errors.Token.Invalid (AUTH-7fs1e)'],
  ['Bearer forged-and-talked-about', 'x'.repeat(300_000)],
]);

let calls = 0;

const server = createServer((request, response) => {
  if (request.url === '/calls') {
    response.end(String(calls));
    return;
  }
  calls += 1;
  readCall(request, (call) => {
    const { rpc, userId, body, isConnect } = call;
    const message = forged.get(request.headers.authorization ?? '');
    if (message !== undefined) {
      const code = isConnect ? 'unauthenticated' : 16;
      answer(response, 401, JSON.stringify({ code, message }));
    } else if (rpc === 'GetUserByID') answer(response, 200, read(userId));
    else if (rpc === 'ListUsers') answer(response, 200, listed(call));
    else if (rpc !== 'ResendPhoneCode') response.writeHead(404).end();
    else if (userId.startsWith(forbidden)) answer(response, 403, isConnect ? refusedOverConnect : refused);
    else answer(response, 200, body.includes('returnCode') ? returned : sent);
  });
});

server.listen(Number(process.env['PORT']), '127.0.0.1');
