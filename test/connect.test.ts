import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { expect, test } from 'vitest';
import { startEmbeddedZitadel, type EmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { errorDetail } from './descriptors/error-detail.js';
import { readMany, readOne, user } from './support/reads.js';
import { bearer, openStage, run } from './support/stage.js';
import { until } from './support/until.js';
import { answered, zitadel as zitadelAnswer } from './support/zitadel.js';

// ZITADEL's documentation announces that REST will be removed.

/** Stands in front of a ZITADEL without REST: everything under `/v2/` is 404. */
async function openWithoutRest(zitadel: EmbeddedZitadel) {
  const refused: string[] = [];
  const server = createServer((request, response) => {
    const { method = '', url = '' } = request;
    if (url.startsWith('/v2/')) {
      refused.push(url);
      response.writeHead(404).end();
      return;
    }
    const headers = Object.entries(request.headers).filter(
      ([name]) => !/^(host|connection|content-length)$/.test(name),
    );
    void buffer(request)
      .then((body) => fetch(zitadel.url + url, { method, headers: headers as [string, string][], body }))
      .then(async (answer) => {
        response.writeHead(answer.status, { 'content-type': answer.headers.get('content-type') ?? '' });
        response.end(await answer.text());
      });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    refused,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

test('serves the whole journey over Connect, even if ZITADEL has no REST', async () => {
  await using zitadel = await startEmbeddedZitadel();
  await using upstream = await openWithoutRest(zitadel);
  await using stage = await openStage({ ZITADEL_URL: upstream.url, ZITADEL_API: 'connect' });
  const { userId } = users.phoneless;
  const phone = { number: '+41795550103', isVerified: false };

  expect((await readOne(stage.graphql, userId)).data).toEqual({ contactPhone: null });
  const set = await stage.run('set-contact-phone', { userId, number: phone.number });
  expect(set).toMatchObject({ errors: undefined, data: { setContactPhone: { user: { contactPhone: phone } } } });
  expect((await readOne(stage.graphql, userId)).data).toEqual({ contactPhone: { ...phone, resendAvailableAt: null } });
  expect((await stage.resend({ userId })).errors).toBeUndefined();
  const verify = (verificationCode: unknown) => stage.run('verify-contact-phone', { userId, verificationCode });
  const [first, second] = zitadel.outbox.map(({ code }) => code);
  expect((await verify(first)).errors).toMatchObject([{ extensions: { code: 'INVALID_VERIFICATION_CODE' } }]);
  expect((await verify(second)).data?.verifyContactPhone?.user.contactPhone).toMatchObject({
    ...phone,
    isVerified: true,
  });
  const many = await readMany(stage.graphql, [user(userId), user(users.unverified.userId)]);
  expect(many).toMatchObject({
    errors: undefined,
    data: { _entities: [{ contactPhone: { isVerified: true } }, { contactPhone: users.unverified.phone }] },
  });
  expect((await stage.run('remove-contact-phone', { userId })).errors).toBeUndefined();
  expect((await readOne(stage.graphql, userId)).data).toEqual({ contactPhone: null });

  const ready = async () => (await fetch(`${stage.url}/health/ready`)).json() as Promise<{ zitadel: string }>;
  await until(async () => (await ready()).zitadel === 'up');
  expect(zitadel.outbox).toHaveLength(2);
  expect(upstream.refused).toEqual([]);
});

test('if ZITADEL has no REST, a call over REST reports that something other than the user service answered', async () => {
  await using zitadel = await startEmbeddedZitadel();
  await using upstream = await openWithoutRest(zitadel);
  await using stage = await openStage({ ZITADEL_URL: upstream.url, ZITADEL_API: 'rest' });

  const answer = await readOne(stage.graphql, users.verified.userId);

  expect(answer.errors).toMatchObject([{ extensions: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' } }]);
});

test.for(['rest', 'connect'])("shows ZITADEL's answer in the same form, over %s", async (api) => {
  await using stage = await openStage({ ZITADEL_API: api });
  const guest = bearer(tokens.guest.token);

  const answer = await run(stage.graphql, 'remove-contact-phone', { userId: users.verified.userId }, guest);

  expect(answer.errors?.map(({ extensions }) => extensions)).toEqual([
    {
      code: 'FORBIDDEN',
      reason: 'PERMISSION_MISSING',
      outcome: 'NOT_DONE',
      zitadel: zitadelAnswer(7, 'PERMISSION_DENIED', 403, 'AUTH-AWfge', 'No matching permissions found'),
    },
  ]);
});

/** Has ZITADEL refuse to remove a phone over Connect, with this detail. @returns `extensions.zitadel` */
async function refusedWith(detail: object) {
  await using stage = await openStage({ ZITADEL_API: 'connect' });
  stage.zitadel.misbehaveWhenWriting(answered({ code: 'permission_denied', message: 'No', details: [detail] }, 403));
  const { errors } = await stage.run('remove-contact-phone', { userId: users.verified.userId });
  return errors?.[0]?.extensions.zitadel;
}

const detail = errorDetail({ id: 'AUTH-AWfge', message: 'No' });
const base64 = (...parts: Uint8Array[]) => Buffer.concat(parts).toString('base64');
const value = base64(detail);

test.for([[undefined], [null], ['text'], [1], [['AUTH-other']], [{ id: 'AUTH-other' }]])(
  'reads a detail from its bytes, whatever `debug` is: %o',
  async ([debug]) => {
    expect(await refusedWith({ type: 'zitadel.v1.ErrorDetail', value, debug })).toMatchObject({
      id: 'AUTH-AWfge',
      details: [{ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id: 'AUTH-AWfge', message: 'No' }],
    });
  },
);

test('ignores unknown fields of a detail', async () => {
  // Field 7 as 32 bits, field 9 as text, and the id as a number.
  const unknown = Buffer.from([0x3d, 1, 2, 3, 4, 0x4a, 2, 0x61, 0x62, 0x08, 0]);

  const answer = await refusedWith({
    type: 'zitadel.v1.ErrorDetail',
    value: base64(detail, unknown),
  });

  expect(answer).toMatchObject({ id: 'AUTH-AWfge', details: [{ id: 'AUTH-AWfge', message: 'No' }] });
});

test('passes on a detail whose bytes are cut short, without an id', async () => {
  const cut = base64(detail.slice(0, 8));

  const answer = await refusedWith({ type: 'zitadel.v1.ErrorDetail', value: cut });

  expect(answer).not.toHaveProperty('id');
  expect(answer).toMatchObject({
    details: [{ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', value: cut }],
  });
});

test('takes no id from a detail of another type that pretends to be an ErrorDetail', async () => {
  const debug = { '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id: 'AUTH-AWfge' };

  const answer = await refusedWith({ type: 'google.rpc.ErrorInfo', value: '', debug });

  expect(answer).not.toHaveProperty('id');
  expect(answer).toMatchObject({ details: [{ '@type': 'type.googleapis.com/google.rpc.ErrorInfo' }] });
});

test('reads an error whose message and details are null', async () => {
  await using stage = await openStage({ ZITADEL_API: 'connect' });
  stage.zitadel.misbehaveWhenWriting(answered({ code: 'permission_denied', message: null, details: null }, 403));

  const { errors } = await stage.run('remove-contact-phone', { userId: users.verified.userId });

  expect(errors).toMatchObject([{ extensions: { code: 'FORBIDDEN', zitadel: { code: 7, httpStatus: 403 } } }]);
});

test('sends no `Connect-Timeout-Ms`, since ZITADEL would answer 403 when the time is up', async () => {
  await using stage = await openStage({ ZITADEL_API: 'connect' });

  await readOne(stage.graphql, users.verified.userId);

  const [call] = stage.zitadel.calls;
  expect(call?.headers).toMatchObject({ 'connect-protocol-version': '1', 'content-type': 'application/json' });
  expect(call?.headers).not.toHaveProperty('connect-timeout-ms');
});

test('passes on a detail that it cannot read', async () => {
  const answer = await refusedWith({ type: 'zitadel.v1.ErrorDetail', id: 'AUTH-AWfge' });

  expect(answer).not.toHaveProperty('id');
  expect(answer).toMatchObject({ details: [{ type: 'zitadel.v1.ErrorDetail', id: 'AUTH-AWfge' }] });
});
