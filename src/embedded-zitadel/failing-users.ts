import { Refusal } from './answers.js';
import type { LastingMisbehaviour } from './embedded-zitadel.js';
import { users, type EmbeddedUser } from './population.js';

const likeUnverified = (last: number) =>
  ({
    ...users.unverified,
    userId: `301000000000000${last}`,
    phone: { number: `+41795550${last}`, isVerified: false },
  }) satisfies EmbeddedUser;

/** Users of the demo whose calls fail, so that a frontend can show each failure. */
export const failingUsers = {
  slow: { ...likeUnverified(201), description: 'writes are neither answered nor carried out (UPSTREAM_TIMEOUT)' },
  unavailable: {
    ...likeUnverified(202),
    description: 'reads and writes are refused as unavailable (UPSTREAM_UNAVAILABLE)',
  },
  lost: {
    ...likeUnverified(203),
    description: 'writes are carried out, but the answers are lost (UPSTREAM_UNAVAILABLE)',
  },
  limited: { ...likeUnverified(204), description: 'writes are refused, as if there were too many (RATE_LIMITED)' },
} satisfies Record<string, EmbeddedUser>;

const unavailable = { refusal: new Refusal(14, 'Service unavailable') };

export const misbehaviours = new Map<string, LastingMisbehaviour>([
  [failingUsers.slow.userId, { write: { silence: true } }],
  [failingUsers.unavailable.userId, { read: unavailable, write: unavailable }],
  [failingUsers.lost.userId, { write: { reset: true } }],
  [failingUsers.limited.userId, { write: { refusal: new Refusal(8, 'Too many requests') } }],
]);
