import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { stripIgnoredCharacters } from 'graphql';
import { expect, test } from 'vitest';
import { failingUsers } from '../../src/embedded-zitadel/failing-users.js';
import { users } from '../../src/embedded-zitadel/population.js';
import { startChild } from '../support/child.js';
import { blocks, section } from '../support/markdown.js';
import { curls, runShell } from '../support/shell.js';
import { manager, post, unverified } from '../support/stage.js';

/** What `npm run demo:supergraph` runs, but without building: other tests use the build at the same time. */
const start = (gatewayPort = 0) =>
  startChild(['deploy/supergraph/supergraph.js'], { PORT: '0', GATEWAY_PORT: String(gatewayPort) });

type Demo = ReturnType<typeof start>;

const addressOf = async (demo: Demo) =>
  (await demo.printed(/The supergraph is at (http:\S+\/graphql)[^]*?-d '.*'\n/))[1] ?? '';

/** The demo writes to the same standard error, which stays open until both have ended. */
const allEnded = (demo: Demo) => expect(demo.complained(/(?!)/)).rejects.toThrow('It has ended');

test('it joins phones and names, passes on tokens and errors, and stops on Ctrl-C', async () => {
  await using demo = start();
  const url = await addressOf(demo);

  const [command = ''] = curls(demo.output.stdout);
  const [query = ''] = blocks(section(readFileSync('README.md', 'utf8'), 'In a supergraph'), 'graphql');
  const [, body = ''] = /-d '(.*)'$/.exec(command) ?? [];
  const { query: printed } = JSON.parse(body) as { query: string };
  expect(command).toMatch(`curl ${url} `);
  expect(stripIgnoredCharacters(`query ${printed}`)).toBe(stripIgnoredCharacters(query));
  const joined = await runShell(command, new URL(url).origin);
  const people = [
    { name: 'Anna Keller', contactPhone: users.unverified.phone },
    { name: 'Mia Schmid', contactPhone: null },
  ];
  expect(joined).toMatchObject({ status: 200, data: { users: people }, errors: undefined });

  const document = `mutation ($userId: ID!) {
    resendContactPhoneCode(userId: $userId) { user { id name contactPhone { isVerified } } }
  }`;
  // Apollo Client accepts this first.
  const accept = 'application/graphql-response+json, application/json;q=0.9';
  const resend = (userId: string, headers: Record<string, string>) =>
    post(url, { query: document, variables: { userId } }, { accept, ...headers });
  const refused = (extensions: object) => ({
    status: 200,
    data: { resendContactPhoneCode: null },
    errors: [{ path: ['resendContactPhoneCode'], extensions: { outcome: 'NOT_DONE', ...extensions } }],
  });
  expect((await resend(unverified, manager)).data).toEqual({
    resendContactPhoneCode: { user: { id: unverified, name: 'Anna Keller', contactPhone: { isVerified: false } } },
  });
  expect(await resend(users.verified.userId, manager)).toMatchObject(
    refused({ code: 'FAILED_PRECONDITION', reason: 'ALREADY_VERIFIED' }),
  );
  expect(await resend(unverified, {})).toMatchObject(refused({ code: 'UNAUTHENTICATED', reason: 'TOKEN_MISSING' }));

  demo.kill('SIGINT');
  expect(await demo.exited).toBe(0);
  await allEnded(demo);
  expect(demo.output.stderr).toBe('');
});

test('each user of the demo has a name, and any page of this machine may ask for it', async () => {
  await using demo = start();
  const url = await addressOf(demo);
  const ids = Object.values({ ...users, ...failingUsers }).map(({ userId }) => userId);
  const query = 'query ($ids: [ID!]!) { users(ids: $ids) { id name } }';

  const { data } = await post(url, { query, variables: { ids: [...ids, '1'] } });
  expect(data).toEqual({ users: [...ids.map((id) => ({ id, name: expect.any(String) as string })), null] });

  const preflight = async (origin: string) => {
    const asked = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' };
    const { headers } = await fetch(url, { method: 'OPTIONS', headers: { origin, ...asked } });
    return ['origin', 'headers'].map((name) => headers.get(`access-control-allow-${name}`));
  };
  for (const origin of ['http://localhost:5173', 'http://127.0.0.1:3000', 'http://localhost']) {
    expect(await preflight(origin)).toEqual([origin, 'authorization']);
  }
  for (const origin of ['http://localhost.example.com', 'https://example.com', 'null']) {
    expect(await preflight(origin)).toEqual([null, null]);
  }

  demo.kill('SIGTERM');
  expect(await demo.exited).toBe(0);
  await allEnded(demo);
});

test('if the port of the gateway is in use, it says so, and ends the demo', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  await using demo = start(port);

  expect(await demo.exited).toBe(1);
  await allEnded(demo);
  const reason = `listen EADDRINUSE: address already in use 127.0.0.1:${port}`;
  expect(demo.output.stderr).toBe(`The gateway did not start: ${reason}. GATEWAY_PORT sets its port.\n`);
  other.close();
});

test('its gateway runs the code of docs/routers.md', () => {
  const page = section(readFileSync('docs/routers.md', 'utf8'), 'Gateways in JavaScript');
  const [shared = '', ofHive = ''] = blocks(page, 'js');
  const [, code] = readFileSync('deploy/supergraph/gateway.config.js', 'utf8').split(/^\/\/ .*\n\n/);

  expect(code).toBe(`${shared}\n${ofHive}`);
});
