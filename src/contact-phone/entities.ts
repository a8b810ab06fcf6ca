import { z } from 'zod';
import { CodedError } from '../errors.js';

/**
 * What a router knows of a user. As a number, the id would have lost digits, and stand for another user.
 * https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec
 */
const representation = z.object({ __typename: z.literal('User'), id: z.string() });

/**
 * Resolves `_entities`. Each representation becomes the user that it stands for, whose fields are then read by their own resolvers,
 * or fails alone.
 */
export function resolveEntities(_source: unknown, { representations }: { representations: readonly unknown[] }) {
  return representations.map((value) => representation.safeParse(value).data ?? notARepresentation());
}

/** graphql-js takes an Error in a list for the failure of that item. */
function notARepresentation(): CodedError {
  return new CodedError(
    { code: 'BAD_USER_INPUT' },
    { message: 'A representation must have the __typename "User" and an id, which is a string.' },
  );
}
