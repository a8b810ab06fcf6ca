import { Refusal } from './answers.js';
import type { LastingMisbehaviour } from './embedded-zitadel.js';
import { users, type EmbeddedUser } from './population.js';

const likeUnverified = (last: number) =>
  ({
    ...users.unverified,
    userId: `301000000000000${last}`,
    phone: { number: `+41795550${last}`, isVerified: false },
  }) satisfies EmbeddedUser;

/** Users of the demo whose calls always fail, so that a frontend can show each failure. */
export const failingUsers = {
  slow: { ...likeUnverified(201), description: 'gets no answer to a write in time, and it is not done' },
  unavailable: { ...likeUnverified(202), description: 'can be neither read nor written: ZITADEL is unavailable' },
  lost: { ...likeUnverified(203), description: 'gets no answer to a write, although it is done' },
  limited: { ...likeUnverified(204), description: 'is rate limited by ZITADEL: it refuses every write' },
} satisfies Record<string, EmbeddedUser>;

const unavailable = { refusal: new Refusal(14, 'Service unavailable') };

export const misbehaviours: ReadonlyMap<string, LastingMisbehaviour> = new Map<string, LastingMisbehaviour>([
  [failingUsers.slow.userId, { write: { silence: true } }],
  [failingUsers.unavailable.userId, { read: unavailable, write: unavailable }],
  [failingUsers.lost.userId, { write: { reset: true } }],
  [failingUsers.limited.userId, { write: { refusal: new Refusal(8, 'Too many requests') } }],
]);
