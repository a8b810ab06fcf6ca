import { assertObjectType, buildSchema } from 'graphql';
import { expect, test } from 'vitest';
import { roverYaml } from '../support/rover.js';
import { compose, supergraphSdl } from './supergraph.js';

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
