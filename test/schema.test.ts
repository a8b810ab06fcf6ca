import { readFileSync } from 'node:fs';
import { buildSubgraphSchema, printSubgraphSchema } from '@apollo/subgraph';
import { buildASTSchema, Kind, parse, printSchema, visit, type GraphQLSchema } from 'graphql';
import { expect, test } from 'vitest';
import { createSchema } from '../src/graphql/schema.js';
import { openStage, post } from './support/stage.js';
import { roverYaml } from './support/rover.js';

const schema = createSchema();

/** Building a subgraph adds federation's definitions; printing it removes them. */
const built = (sdl: string) => buildSubgraphSchema(parse(sdl));
const printed = (subgraph: GraphQLSchema) => `${printSubgraphSchema(subgraph)}\n`;

test('is committed as it is printed', async () => {
  await expect(printed(schema)).toMatchFileSnapshot('../schema/contact-phone.graphql');
});

test('is committed without federation, for clients', async () => {
  const ofGraphQL = ['deprecated', 'specifiedBy'];
  const document = visit(parse(printed(schema)), {
    [Kind.SCHEMA_EXTENSION]: () => null,
    [Kind.DIRECTIVE]: ({ name }) => (ofGraphQL.includes(name.value) ? undefined : null),
  });

  await expect(`${printSchema(buildASTSchema(document))}\n`).toMatchFileSnapshot(
    '../schema/contact-phone.client.graphql',
  );
});

test('is what the running subgraph serves for composition', async () => {
  await using stage = await openStage({ INTROSPECTION: 'false' });

  const { data } = await post<{ _service: { sdl: string } }>(stage.graphql, { query: '{ _service { sdl } }' });

  expect(printed(built(data?._service.sdl ?? ''))).toBe(readFileSync('schema/contact-phone.graphql', 'utf8'));
});

test('has mutations that cannot discard the results of their siblings', () => {
  const fields = Object.values(schema.getMutationType()?.getFields() ?? {});

  expect(fields.map(({ name, type }) => [name, String(type)])).toEqual([
    ['setContactPhone', 'SetContactPhoneResult'],
    ['resendContactPhoneCode', 'ResendResult'],
    ['verifyContactPhone', 'VerifyContactPhoneResult'],
    ['removeContactPhone', 'RemoveContactPhoneResult'],
  ]);
});

test.for(['2026-11-23T19:04:05Z', '2026-11-23T19:04:05.123456789Z', '2026-11-23T19:04:05.1+01:00'])(
  'has a DateTime that loses no digits: %s',
  async (changeDate) => {
    await using stage = await openStage();
    stage.zitadel.misbehaveWhenWriting(answerWith({ changeDate }));

    const { data, errors } = await stage.resend();

    expect(errors).toBeUndefined();
    expect(data?.resendContactPhoneCode?.details.changeDate).toBe(changeDate);
  },
);

test.for(['2026-02-30T00:00:00Z', '2026-11-23T19:04:05', '2026-11-23', '', 1, null])(
  'refuses a date that is not a DateTime: %o',
  async (changeDate) => {
    await using stage = await openStage();
    stage.zitadel.misbehaveWhenWriting(answerWith({ changeDate }));

    const { data, errors } = await stage.resend();

    expect(data).toEqual({ resendContactPhoneCode: null });
    expect(errors).toMatchObject([{ extensions: { code: 'UPSTREAM_ERROR', outcome: 'UNKNOWN' } }]);
  },
);

test('is listed with its address in rover.yaml', () => {
  expect(roverYaml).toEqual({
    federation_version: '=2.9.0',
    subgraphs: {
      'contact-phone': {
        routing_url: 'http://localhost:4001/graphql',
        schema: { file: './schema/contact-phone.graphql' },
      },
    },
  });
});

const answerWith = (details: object) => ({
  answer: { status: 200, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ details }) },
});
