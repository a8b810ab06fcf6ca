import { expect, test } from 'vitest';
import { maxAnswerBytes } from '../src/graphql/query-cost.js';
import { crowd } from './support/crowd.js';
import { readMany, user } from './support/reads.js';
import { manager, openStage, post, unverified } from './support/stage.js';

// Documents and answers that are only partly wrong.

const again = `resendContactPhoneCode(userId: "${unverified}")`;

test.for([
  [
    'a variable that no operation declares',
    `mutation Again($wanted: Boolean!) { ${again} { verificationCode @include(if: $wanted) } }`,
    { wanted: true, other: null },
  ],
  [
    'a condition of another operation',
    `query Other($other: Boolean = true) { __typename @include(if: $other) }
      mutation Again { ${again} { verificationCode @skip(if: false) } }`,
    { other: null },
  ],
] as const)('runs a mutation despite null for %s', async ([, query, variables]) => {
  await using stage = await openStage();

  const { errors, data } = await post(stage.graphql, { query, variables, operationName: 'Again' }, manager);

  expect(errors).toBeUndefined();
  expect(data).toEqual({ resendContactPhoneCode: { verificationCode: null } });
  expect(stage.zitadel.outbox).toHaveLength(1);
});

test.for(['[[ID]]', '[[ID!]]!', '[[[ID!]!]!]!'])('refuses a variable of type %s', async (type) => {
  await using stage = await openStage();
  const query = `query ($a: ${type}) { _entities(representations: [{ __typename: "User", id: $a }]) { __typename } }`;

  const { status, errors } = await post(stage.graphql, { query, variables: { a: '1' } }, manager);

  expect(status).toBe(400);
  expect(errors?.map(({ message }) => message)).toEqual(['A variable must not be a list of lists.']);
});

test('names a variable only if its name and type are short together', async () => {
  await using stage = await openStage();
  const messageFor = async (variable: string) => {
    const query = `mutation ($${variable}: PhoneCodeMode!) { ${again.replace(')', `, mode: $${variable})`)} { verificationCode } }`;
    const { status, errors } = await post(stage.graphql, { query, variables: { [variable]: 'S3CR3T' } }, manager);
    expect(status).toBe(400);
    return errors?.map(({ message }) => message);
  };
  const { length } = 'PhoneCodeMode!';

  const short = 'v'.repeat(100 - length);
  expect(await messageFor(short)).toEqual([`Variable "$${short}" got a value that is not a valid PhoneCodeMode!.`]);
  expect(await messageFor(`${short}v`)).toEqual(['The variables are not valid.']);
  expect(stage.zitadel.calls).toEqual([]);
});

test("leaves only ZITADEL's words out of an answer that is too large, not an error of our own", async () => {
  await using stage = await openStage();
  const body = JSON.stringify({
    code: 7,
    message: 'm'.repeat(250),
    details: [{ '@type': 'some.type', text: 'd'.repeat(500) }],
  });
  const answer = { status: 403, headers: { 'content-type': 'application/json' }, body };
  stage.zitadel.misbehave(...Array<{ answer: typeof answer }>(50).fill({ answer }));
  const users = crowd(4_999).map(({ userId }) => user(userId));

  const { text, errors } = await readMany(stage.graphql, [user(7), ...users]);

  expect(text.length).toBeLessThan(maxAnswerBytes);
  expect(errors).toHaveLength(5_000);
  const extensions = errors?.map((error) => error.extensions) ?? [];
  expect(extensions.filter(({ zitadel }) => !zitadel)).toEqual([
    { code: 'BAD_USER_INPUT', reason: 'REPRESENTATION_INVALID' },
  ]);
  expect(extensions.find(({ zitadel }) => zitadel)?.zitadel).toEqual({ code: 7, httpStatus: 403 });
});
