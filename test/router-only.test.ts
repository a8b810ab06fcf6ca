import { expect, test } from 'vitest';
import { manager, openStage } from './support/stage.js';

const current = 'S3CR3T-of-the-router';
const next = 'S3CR3T-of-tomorrow';
const refusal =
  '{"errors":[{"message":"Only the router may call this server: x-router-secret is missing or wrong.","extensions":{"code":"ROUTER_SECRET_MISSING","outcome":"NOT_DONE"}}]}\n';

test('answers requests with the router secret, or the next one during a rotation', async () => {
  await using stage = await openStage({ ROUTER_SECRETS: `${current},${next}` });

  for (const secret of [current, next]) {
    const { data, errors } = await stage.resend({}, { ...manager, 'x-router-secret': secret });
    expect(errors).toBeUndefined();
    expect(data?.resendContactPhoneCode).toMatchObject({ details: {} });
  }
  expect(stage.zitadel.writes).toHaveLength(2);
  for (const { headers } of stage.zitadel.calls) expect(headers).not.toHaveProperty('x-router-secret');
});

test.for([
  ['no secret', {}],
  ['an empty secret', { 'x-router-secret': '' }],
  ['another secret', { 'x-router-secret': 'S3CR3T-of-a-stranger' }],
  ['the beginning of the secret', { 'x-router-secret': current.slice(0, -1) }],
  ['both secrets at once', { 'x-router-secret': `${current},${next}` }],
] as const)('refuses a request with %s before it reads its body', async ([, headers]) => {
  await using stage = await openStage({ ROUTER_SECRETS: `${current},${next}` });
  const send = (contentType: string, body: string) =>
    fetch(stage.graphql, { method: 'POST', headers: { ...manager, ...headers, 'content-type': contentType }, body });

  const answers = [
    await send('application/json', '{"query":"{ __typename }"}'),
    await send('application/json', '{"query":'),
    await send('application/json', `"${'x'.repeat(1024 * 1024)}"`),
    await send('text/plain', 'x'),
  ];

  for (const answer of answers) {
    expect(answer.status).toBe(403);
    expect(await answer.text()).toBe(refusal);
  }
  expect(stage.zitadel.calls).toEqual([]);
  // Otherwise an operator could not find out why a router with an old secret fails.
  const lines = stage.lines.filter((line) => line.includes('"code":"ROUTER_SECRET_MISSING"'));
  expect(lines).toHaveLength(answers.length);
  for (const line of lines) {
    expect(JSON.parse(line)).toMatchObject({ outcome: 'NOT_DONE' });
    expect(line).not.toContain('"err"');
  }
});

test('does not require the secret for health checks', async () => {
  await using stage = await openStage({ ROUTER_SECRETS: current });

  for (const path of ['/health/live', '/health/ready']) expect((await fetch(stage.url + path)).status).toBe(200);
});

test('requires no secret by default', async () => {
  await using stage = await openStage();

  expect((await stage.resend({}, { ...manager, 'x-router-secret': 'anything' })).errors).toBeUndefined();
});
