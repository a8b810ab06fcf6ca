import { z } from 'zod';
import { CodedError } from '../errors.js';

/**
 * What a router knows of a user. As a number, the id would have lost digits, and stand for another user.
 * https://www.apollographql.com/docs/graphos/schema-design/federated-schemas/reference/subgraph-spec
 */
const representation = z.object({ __typename: z.literal('User'), id: z.string() });

/** Each takes a fraction of a millisecond, during which nobody else is served, and fields with aliases can ask for the same ones. */
export const maxRepresentations = 5_000;

/** What one request has asked for so far. */
export interface AskedFor {
  representations: number;
}

/**
 * Resolves `_entities`. Each representation becomes the user that it stands for, whose fields are then read by their own resolvers,
 * or fails alone. All fail together if there are too many in the request.
 */
export function resolveEntities(
  _source: unknown,
  { representations }: { representations: readonly unknown[] },
  asked: AskedFor,
) {
  asked.representations += representations.length;
  if (asked.representations > maxRepresentations) {
    throw new CodedError(
      { code: 'BAD_USER_INPUT' },
      { message: `A request may ask for ${maxRepresentations} representations at most.` },
    );
  }
  return representations.map((value) => representation.safeParse(value).data ?? notARepresentation());
}

/** graphql-js takes an Error in a list for the failure of that item. */
function notARepresentation(): CodedError {
  return new CodedError(
    { code: 'BAD_USER_INPUT' },
    { message: 'A representation must have the __typename "User" and an id, which is a string.' },
  );
}
