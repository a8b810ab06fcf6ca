import { expect, test } from 'vitest';
import { crowd } from './support/crowd.js';
import { openMeasured } from './support/holdings.js';
import { manager, post, unverified } from './support/stage.js';

const megabyte = 1024 * 1024;
/** Hundreds of sequential requests can take long on a busy machine. */
const slow = { timeout: 120_000 };

/** How much the memory grows with this many requests, after a first one. */
async function growth(
  server: Awaited<ReturnType<typeof openMeasured>>,
  count: number,
  request: (index: number) => Promise<unknown>,
): Promise<number> {
  await request(0);
  const before = await server.holdings();
  for (let index = 1; index <= count; index += 1) await request(index);
  return (await server.holdings()).bytes - before.bytes;
}

const comment = `#${'x'.repeat(95_000)}`;

const unused = (values: string) => `__typename _entities(representations: [${values}]) @skip(if: true) { __typename }`;

test.for([
  ['small values', unused('{ a: 1 } '.repeat(380))],
  ['fields', '... { __typename } '.repeat(450)],
] as const)('caches at most 16 MB of documents: %s', slow, async ([, selection]) => {
  await using server = await openMeasured();

  const bytes = await growth(server, 200, async (index) => {
    const { status } = await post(server.graphql, { query: `query A${index} { ${selection} }` });
    expect(status).toBe(200);
  });

  expect(bytes).toBeLessThan(20 * megabyte);
});

test('does not keep the text of a long document with little content', slow, async () => {
  await using server = await openMeasured();

  const bytes = await growth(server, 100, async (index) => {
    const query = `query Number${index} { __typename } ${comment}`;
    expect(await post(server.graphql, { query })).toMatchObject({ status: 200, errors: undefined });
  });

  expect(bytes).toBeLessThan(3 * megabyte);
});

test('keeps only the times of 300 SMS, and no document that contained a user id', slow, async () => {
  const people = crowd(301).map((person) => ({ ...person, phone: { ...person.phone, isVerified: false } }));
  await using server = await openMeasured({ SMS_LIMITS: '' }, { moreUsers: people });

  const bytes = await growth(server, 300, async (index) => {
    const userId = people[index]?.userId;
    const query = `mutation Number${index} { resendContactPhoneCode(userId: "${userId}") { user { id } } } ${comment}`;
    expect(await post(server.graphql, { query }, manager)).toMatchObject({ status: 200, errors: undefined });
  });

  expect(server.zitadel.outbox).toHaveLength(301);
  expect(bytes).toBeLessThan(6 * megabyte);
});

test('does not keep requests in memory that wait to be counted', slow, async () => {
  await using server = await openMeasured();
  const details = [{ text: 'x'.repeat(500_000) }];
  const body = JSON.stringify({ code: 13, message: 'No.', details });
  const failing = { answer: { status: 500, headers: { 'content-type': 'application/json' }, body } };
  const long = 'n'.repeat(900_000);

  const bytes = await growth(server, 50, async () => {
    server.zitadel.misbehave(failing);
    const query = `{ contactPhone(userId: "${unverified}") { number } }`;
    const { errors } = await post(server.graphql, { query }, manager);
    expect(errors).toMatchObject([{ extensions: { code: 'UPSTREAM_ERROR' } }]);
    expect((await post(server.graphql, { query: '{ __typename }', operationName: long })).status).toBe(400);
  });

  expect(bytes).toBeLessThan(3 * megabyte);
});
