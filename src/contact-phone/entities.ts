import { collectSubFields } from '@graphql-tools/utils';
import type { GraphQLObjectType, GraphQLResolveInfo } from 'graphql';
import { CodedError } from '../errors.js';
import type { ContactPhoneService } from './contact-phone.service.js';

/** Each takes a fraction of a millisecond, during which nobody else is served, and fields with aliases can ask for the same ones. */
export const maxRepresentations = 5_000;

interface User {
  __typename: 'User';
  id: string;
  contactPhone: unknown;
}

interface Context {
  contactPhone: ContactPhoneService;
  /** How many the request has asked for so far. */
  representations: number;
}

/**
 * Resolves `_entities`. Each representation becomes the user that it stands for, or fails alone; all fail together if there are too many
 * in the request.
 *
 * Their phones, if they are asked for, are read before any field is resolved: to wait in each costs more than all the rest.
 */
export async function resolveEntities(
  _source: unknown,
  { representations }: { representations: readonly unknown[] },
  context: Context,
  info: GraphQLResolveInfo,
) {
  context.representations += representations.length;
  if (context.representations > maxRepresentations) {
    throw new CodedError(
      { code: 'BAD_USER_INPUT' },
      { message: `A request may ask for ${maxRepresentations} representations at most.` },
    );
  }
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
  // Its types are those of graphql 17.
  const variables = variableValues as unknown as Parameters<typeof collectSubFields>[2];
  const { fields } = collectSubFields(schema, fragments, variables, type, [...fieldNodes]);
  return [...fields.values()].some(([node]) => node?.name.value === 'contactPhone');
}

/**
 * What a router knows of a user, or why it is not that: graphql-js takes an Error in a list for the failure of that item. As a number,
 * the id would have lost digits, and stand for another user.
 * https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec
 */
function userOf(value: unknown): User | CodedError {
  const { __typename, id } = (value ?? {}) as Partial<Record<string, unknown>>;
  if (__typename === 'User' && typeof id === 'string') {
    return { __typename, id, contactPhone: undefined };
  }
  return new CodedError(
    { code: 'BAD_USER_INPUT' },
    { message: 'A representation must have the __typename "User" and an id, which is a string.' },
  );
}
