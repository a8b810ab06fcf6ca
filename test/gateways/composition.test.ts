import { composeServices } from '@apollo/composition';
import { composeServices as composeWithTheGuild, compositionHasErrors } from '@theguild/federation-composition';
import { federateSubgraphs, ROUTER_COMPATIBILITY_VERSION_ONE } from '@wundergraph/composition';
import { assertObjectType, buildSchema, parse, visit, type DocumentNode, type GraphQLSchema } from 'graphql';
import { expect, test } from 'vitest';
import { roverYaml } from '../support/rover.js';
import { openStage, post } from '../support/stage.js';
import { compose, subgraphs, supergraphSdl } from './supergraph.js';

/** What clients see, and by field, what routers are told of it. */
interface Composed {
  api: GraphQLSchema;
  tags: Record<string, string>;
  costs: Record<string, string>;
}

/** The values of a directive's only argument, by the field that has it. */
function valuesOf(directive: string, supergraph: DocumentNode): Record<string, string> {
  const values: Record<string, string> = {};
  visit(supergraph, {
    ObjectTypeDefinition: (type) => {
      for (const field of type.fields ?? []) {
        const [argument] = field.directives?.find(({ name }) => name.value === directive)?.arguments ?? [];
        if (argument && 'value' in argument.value) {
          values[`${type.name.value}.${field.name.value}`] = String(argument.value.value);
        }
      }
    },
  });
  return values;
}

const composers: [string, (given: ReturnType<typeof subgraphs>) => Composed][] = [
  [
    '@apollo/composition',
    (given) => {
      const { schema, supergraphSdl = '', errors } = composeServices(given);
      expect(errors).toBeUndefined();
      const supergraph = parse(supergraphSdl);
      return {
        api: schema?.toAPISchema().toGraphQLJSSchema() as GraphQLSchema,
        tags: valuesOf('tag', supergraph),
        costs: valuesOf('cost', supergraph),
      };
    },
  ],
  [
    '@theguild/federation-composition',
    (given) => {
      const composed = composeWithTheGuild(given);
      if (compositionHasErrors(composed)) throw new AggregateError(composed.errors);
      const supergraph = parse(composed.supergraphSdl);
      return {
        api: buildSchema(composed.publicSdl),
        tags: valuesOf('tag', supergraph),
        costs: valuesOf('cost', supergraph),
      };
    },
  ],
  [
    '@wundergraph/composition',
    (given) => {
      const composed = federateSubgraphs({
        subgraphs: given.map(({ typeDefs, ...subgraph }) => ({ ...subgraph, definitions: typeDefs })),
        version: ROUTER_COMPATIBILITY_VERSION_ONE,
      });
      if (!composed.success) throw new AggregateError(composed.errors);
      const { fieldWeights } = composed.subgraphConfigBySubgraphName.get('contact-phone')?.costs ?? {};
      return {
        api: composed.federatedGraphClientSchema,
        tags: valuesOf('tag', composed.federatedGraphAST),
        costs: Object.fromEntries([...(fieldWeights ?? [])].map(([field, { weight }]) => [field, String(weight)])),
      };
    },
  ],
];

const federationTypes = (api: GraphQLSchema) =>
  Object.keys(api.getTypeMap()).filter((name) => /^(federation|join|link)__/.test(name));

test.for(composers)('%s gives clients every field, and routers the tags and the weights', ([, composeWith]) => {
  const { api, tags, costs } = composeWith(subgraphs());

  const fieldsOf = (type: string) =>
    Object.values(assertObjectType(api.getType(type)).getFields())
      .map((field) => `${field.name}: ${String(field.type)}`)
      .sort();
  expect(fieldsOf('Query')).toEqual([
    'contactPhone: ContactPhone',
    'contactPhoneUser: User',
    'user: User',
    'users: [User!]!',
  ]);
  expect(fieldsOf('User')).toEqual(['contactPhone: ContactPhone', 'id: ID!', 'name: String']);
  expect(fieldsOf('ContactPhone')).toEqual([
    'isVerified: Boolean!',
    'number: PhoneNumber!',
    'resendAvailableAt: DateTime',
  ]);
  expect(fieldsOf('Mutation')).toEqual([
    'removeContactPhone: RemoveContactPhoneResult',
    'rename: User',
    'resendContactPhoneCode: ResendResult',
    'setContactPhone: SetContactPhoneResult',
    'verifyContactPhone: VerifyContactPhoneResult',
  ]);
  expect(federationTypes(api)).toEqual([]);
  expect(tags).toEqual({
    'ContactPhone.number': 'pii',
    'ResendResult.verificationCode': 'pii',
    'SetContactPhoneResult.verificationCode': 'pii',
  });
  // 10 is one call to ZITADEL. The user is read before an SMS.
  expect(costs).toEqual({
    'Query.contactPhone': '10',
    'Query.contactPhoneUser': '10',
    'Mutation.setContactPhone': '20',
    'Mutation.resendContactPhoneCode': '20',
    'Mutation.verifyContactPhone': '10',
    'Mutation.removeContactPhone': '10',
  });
});

test.for(composers)('%s composes what the server shows to introspection', async ([composer, composeWith]) => {
  await using stage = await openStage({ INTROSPECTION: 'false' });
  const { data } = await post<{ _service: { sdl: string } }>(stage.graphql, { query: '{ _service { sdl } }' });

  const { api } = composeWith(subgraphs({}, () => data?._service.sdl ?? ''));

  // docs/routers.md warns of these.
  const shown = composer === '@wundergraph/composition';
  expect(federationTypes(api)).toEqual(shown ? expect.arrayContaining(['federation__FieldSet']) : []);
});

test('composes with the subgraph that owns users, without an error and without a hint', () => {
  const { errors, hints } = compose();

  expect(errors).toBeUndefined();
  expect(hints).toEqual([]);
});

test('adds the subgraph of rover.yaml to the supergraph, and a contact phone to users', () => {
  const sdl = supergraphSdl();
  const supergraph = buildSchema(sdl, { assumeValidSDL: true });

  expect(Object.keys(roverYaml.subgraphs)).toEqual(['contact-phone']);
  expect(sdl).toContain('@join__graph(name: "contact-phone", url: "http://localhost:4001/graphql")');
  const fields = assertObjectType(supergraph.getType('User')).getFields();
  expect(Object.fromEntries(Object.values(fields).map(({ name, type }) => [name, String(type)]))).toEqual({
    id: 'ID!',
    name: 'String',
    contactPhone: 'ContactPhone',
  });
});

test('can become a contract without what is tagged as pii', () => {
  const exclude = (sdl: string) =>
    sdl.replaceAll('@tag(name: "pii")', '@inaccessible').replace('"@tag"', '"@inaccessible"');
  const { schema, errors } = compose({}, exclude);

  expect(errors).toBeUndefined();
  const fieldsOf = (type: string) =>
    assertObjectType(schema?.toAPISchema().toGraphQLJSSchema().getType(type)).getFields();
  expect(Object.keys(fieldsOf('ContactPhone'))).toEqual(['isVerified', 'resendAvailableAt']);
  for (const result of ['SetContactPhoneResult', 'ResendResult']) {
    expect(Object.keys(fieldsOf(result))).toEqual(['details', 'user', 'resendAvailableAt']);
  }
  expect(Object.keys(fieldsOf('Mutation'))).toContain('verifyContactPhone');
});

test('does not describe what belongs to other subgraphs', () => {
  const supergraph = buildSchema(supergraphSdl(), { assumeValidSDL: true });
  const user = assertObjectType(supergraph.getType('User'));

  expect(user.description).toBe('Somebody with an account.');
  expect(user.getFields()['id']?.description).toBe('It never changes.');
  expect(supergraph.getQueryType()?.description).toBe('What can be read.');
  expect(supergraph.getMutationType()?.description).toBe('What can be changed.');
  expect(user.getFields()['contactPhone']?.description).toMatch(/^The contact phone/);
});
