import { manager, post, type Phone } from './stage.js';

/** Reads one user's phone. */
export const readOne = (url: string, userId: string, headers: Record<string, string> = manager) => {
  const query =
    'query ContactPhone($userId: ID!) { contactPhone(userId: $userId) { number isVerified resendAvailableAt } }';
  return post<{ contactPhone: Phone }>(url, { query, variables: { userId } }, headers);
};

/** Reads like a router: the users of these representations, in this order. */
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

/** A representation of a user, as sent by a router. */
export const user = (id: unknown) => ({ __typename: 'User', id });
