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
 * Resolves `_entities`. Each representation becomes a user, or fails without affecting the others.
 *
 * If phones are selected, they are all read before any field is resolved: awaiting in each field would cost more than everything else.
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
  // The shape of graphql 17. Without it, no variable would be found.
  const variables = { coerced: variableValues, sources: {} };
  const { fields } = collectSubFields(schema, fragments, variables, type, [...fieldNodes]);
  return [...fields.values()].some(([node]) => node?.name.value === 'contactPhone');
}

/**
 * The user of a representation, or an error if it is invalid: graphql-js treats an Error in a list as the failure of that item. An id must
 * be a string, since a number may have lost digits.
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
  { message: 'A representation must have the __typename "User" and a string as its id.' },
);
