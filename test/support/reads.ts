import { manager, post, run, type Phone } from './stage.js';

/** Asks for one user's phone. */
export const readOne = (url: string, userId: string, headers?: Record<string, string>) =>
  run(url, 'contact-phone', { userId }, headers);

/** Asks as a router does: for the users behind these representations, in this order. */
export const readMany = (url: string, representations: unknown[], headers: Record<string, string> = manager) => {
  const query = `query ($representations: [_Any!]!) {
    _entities(representations: $representations) { ... on User { contactPhone { number isVerified } } }
  }`;
  return post<{ _entities: ({ contactPhone: Phone } | null)[] }>(
    url,
    { query, variables: { representations } },
    headers,
  );
};

/** A representation of a user, as a router sends it. */
export const user = (id: unknown) => ({ __typename: 'User', id });
