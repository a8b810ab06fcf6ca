import { createServer } from 'node:http';
import { Pool } from 'undici';

// The lower bound: the same requests and answers by hand, on Node's own server, without GraphQL and without any checks.

interface Asked {
  variables: { userId: string; mode: string; representations?: { id: string }[] };
}
interface User {
  userId: string;
  human: { phone: { phone: string; isVerified: boolean } };
}

const pool = new Pool(process.env['ZITADEL_URL'] ?? '', { connections: 128 });

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const { variables } = JSON.parse(Buffer.concat(chunks).toString()) as Asked;
    const { authorization } = request.headers;
    const answering = variables.representations
      ? read(variables.representations, authorization)
      : resend(variables.userId, variables.mode, authorization);
    void answering.then((answer) => {
      const json = JSON.stringify(answer);
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) });
      response.end(json);
    });
  });
});

/** Like the product, it reads the user before an SMS, and sends none without a phone that can be verified. */
async function resend(userId: string, mode: string, authorization = '') {
  if (mode === 'SEND_CODE') {
    const { body } = await pool.request({
      method: 'GET',
      path: `/v2/users/${encodeURIComponent(userId)}`,
      headers: { authorization },
    });
    const { user } = (await body.json()) as { user: User };
    if (user.human.phone.isVerified) return { data: { resendContactPhoneCode: null } };
  }
  const { statusCode, body } = await pool.request({
    method: 'POST',
    path: `/v2/users/${encodeURIComponent(userId)}/phone/resend`,
    headers: { authorization, 'content-type': 'application/json' },
    body: mode === 'RETURN_CODE' ? '{"returnCode":{}}' : '{"sendCode":{}}',
  });
  const answer = (await body.json()) as { details: object; verificationCode?: string };
  if (statusCode !== 200) {
    return {
      errors: [{ message: 'Forbidden', extensions: { code: 'FORBIDDEN', zitadel: answer } }],
      data: { resendContactPhoneCode: null },
    };
  }
  const { details, verificationCode = null } = answer;
  return { data: { resendContactPhoneCode: { details, verificationCode } } };
}

/** One call for all of them: hand-written code would do no more. */
async function read(representations: { id: string }[], authorization = '') {
  const { body } = await pool.request({
    method: 'POST',
    path: '/v2/users',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify({
      query: { limit: representations.length },
      queries: [{ inUserIdsQuery: { userIds: representations.map(({ id }) => id) } }],
    }),
  });
  const { result } = (await body.json()) as { result: User[] };
  const users = new Map(result.map((user) => [user.userId, user]));
  const entities = representations.map(({ id }) => {
    const user = users.get(id);
    const contactPhone = user ? { number: user.human.phone.phone, isVerified: user.human.phone.isVerified } : null;
    return { contactPhone };
  });
  return { data: { _entities: entities } };
}

server.listen(Number(process.env['PORT']), '127.0.0.1');
