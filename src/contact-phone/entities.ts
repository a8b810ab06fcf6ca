import { collectSubFields } from '@graphql-tools/utils';
import type { GraphQLObjectType, GraphQLResolveInfo } from 'graphql';
import { CodedError } from '../errors.js';
import type { ContactPhoneService } from './contact-phone.service.js';
import { checkUserId } from './input.js';

interface User {
  __typename: 'User';
  id: string;
  contactPhone: unknown;
}

interface Context {
  contactPhone: ContactPhoneService;
}

/**
 * Resolves `_entities`. Each representation becomes the user that it stands for, or fails alone.
 *
 * Their phones, if they are asked for, are read before any field is resolved: to wait in each field costs more than all the rest.
 */
export async function resolveEntities(
  _source: unknown,
  { representations }: { representations: readonly unknown[] },
  context: Context,
  info: GraphQLResolveInfo,
) {
  const users = representations.map(userOf);
  if (asksForPhones(info)) {
    const known = users.filter(isUser);
    const phones = await context.contactPhone.readAll(known.map(({ id }) => id));
    known.forEach((user, index) => {
      user.contactPhone = phones[index];
    });
  }
  return users;
}

const isUser = (user: User | CodedError): user is User => !(user instanceof CodedError);

function asksForPhones({ schema, fragments, variableValues, fieldNodes }: GraphQLResolveInfo): boolean {
  const type = schema.getType('User') as GraphQLObjectType;
  // As graphql 17 has them: it finds no variable otherwise.
  const variables = { coerced: variableValues, sources: {} };
  const { fields } = collectSubFields(schema, fragments, variables, type, [...fieldNodes]);
  return [...fields.values()].some(([node]) => node?.name.value === 'contactPhone');
}

/**
 * What a router knows of a user, or why it is not that: graphql-js takes an Error in a list for the failure of that item. An id that came
 * as a number may have lost digits.
 * https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec
 */
function userOf(value: unknown): User | CodedError {
  const { __typename, id } = (value ?? {}) as Partial<Record<string, unknown>>;
  if (__typename !== 'User' || typeof id !== 'string') return noRepresentation;
  try {
    checkUserId(id);
  } catch (error) {
    return error as CodedError;
  }
  return { __typename, id, contactPhone: undefined };
}

const noRepresentation = new CodedError(
  { code: 'BAD_USER_INPUT' },
  { message: 'A representation must have the __typename "User" and an id, which is a string.' },
);
