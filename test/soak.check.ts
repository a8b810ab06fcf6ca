import { expect, test } from 'vitest';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { errors } from '../src/errors.js';
import { openMeasured } from './support/holdings.js';
import { readMetrics } from './support/metrics.js';
import { readMany, user } from './support/reads.js';
import { bearer, manager, post, run, unverified, type OperationName } from './support/stage.js';

// Takes too long for `npm test`.

test('10,000 requests with every outcome leak no handles and no memory', async () => {
  await using production = await openMeasured({ ZITADEL_TIMEOUT_MS: '200' });
  const { zitadel, server, url, graphql, holdings } = production;

  const of =
    (name: OperationName, variables: object = {}, caller: Record<string, string> = manager) =>
    () =>
      run(graphql, name, { userId: unverified, ...variables }, caller);
  const misbehaving = (misbehaviour: Parameters<typeof zitadel.misbehave>[0], call: () => Promise<unknown>) => () => {
    zitadel.misbehave(misbehaviour);
    return call();
  };
  const read = of('contact-phone');
  const answer = (status: number, body?: string) => ({ answer: { status, ...(body !== undefined && { body }) } });
  const outcomes: (() => Promise<unknown>)[] = [
    read,
    of('resend-contact-phone-code'),
    of('resend-contact-phone-code', { mode: 'RETURN_CODE' }),
    of('set-contact-phone', { number: users.unverified.phone.number }),
    of('verify-contact-phone', { verificationCode: 'WRONG1' }),
    of('remove-contact-phone', { userId: users.phoneless.userId }),
    of('contact-phone', {}, {}),
    of('contact-phone', {}, bearer(tokens.outsider.token)),
    of('contact-phone', { userId: '1' }),
    of('contact-phone', { userId: '..' }),
    () => readMany(graphql, [user(unverified), user('1'), user(2), user(users.verified.userId)]),
    misbehaving(answer(503), read),
    misbehaving(answer(404, '<html>'), read),
    misbehaving(answer(500), of('resend-contact-phone-code', { mode: 'RETURN_CODE' })),
    misbehaving({ reset: true }, read),
    misbehaving({ cutOffAfter: 5 }, read),
    () => post(graphql, { query: '{ nothing }' }),
    () => post(graphql, '{'),
    () => fetch(graphql),
    () => fetch(`${url}/health/ready`).then((response) => response.text()),
    () => fetch(graphql, { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' }),
    () => run(graphql, 'contact-phone', { userId: unverified }, manager, AbortSignal.timeout(1)).catch(() => undefined),
    () => fetch(graphql, { method: 'POST', body: 'x'.repeat(2_000_000) }).catch(() => undefined),
    of('resend-contact-phone-code', { userId: users.verified.userId }),
    () => fetch(`${url}/nothing`),
  ];
  const late = misbehaving({ hold: new Promise(() => {}) }, read);
  const round = async () => {
    for (let sent = 0; sent < 5_000; sent += outcomes.length) await Promise.all(outcomes.map((call) => call()));
    await Promise.all(Array.from({ length: 10 }, late));
    zitadel.calls.length = 0;
  };

  // First sequentially, so that each has its intended outcome. Later rounds affect each other.
  for (const call of outcomes) await call();
  await round();
  const first = await holdings();
  await round();
  const second = await holdings();
  const series = await readMetrics(`${url}/metrics`);
  server.kill('SIGTERM');

  // 150 bytes per request: anything kept for a request would take more.
  expect(second.bytes - first.bytes).toBeLessThan(5_000 * 150);
  // Only keep-alive connections remain.
  expect([...new Set(second.handles)].sort()).toEqual(['PipeWrap', 'TCPServerWrap', 'TCPSocketWrap']);
  expect(await server.exited).toBe(0);
  const counted = Object.keys(series).filter((key) => (series[key] ?? 0) > 0);
  const codes = counted.flatMap((key) => /requests_total\{.*code="(\w+)"/.exec(key)?.[1] ?? []);
  const others = [
    'INTERNAL_SERVER_ERROR',
    'ROUTER_SECRET_MISSING',
    'GRAPHQL_PARSE_FAILED',
    'OPERATION_RESOLUTION_FAILURE',
    'PERSISTED_QUERY_NOT_SUPPORTED',
  ];
  expect(new Set(codes)).toEqual(new Set(['OK', ...Object.keys(errors).filter((code) => !others.includes(code))]));
  expect(series['contact_phone_requests_in_flight']).toBe(0);
});
