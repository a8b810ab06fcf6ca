import type { IncomingHttpHeaders } from 'node:http';
import { z } from 'zod';
import { authenticate, isPermitted, Refusal, requirePermission } from './callers.js';
import { users, type EmbeddedUser } from './population.js';

// How the users are read, stored and sent.

const defaultListLimit = 100;
const maxListLimit = 1000;

/** The user queries of ZITADEL's user service v2, with its rules. */
export class UserQueries {
  constructor(private readonly store: UserStore) {}

  /** GetUserByID. Checks that the user exists before it checks whether the caller may read them. */
  getUserById(headers: IncomingHttpHeaders, userId: string): object {
    const caller = authenticate(headers);
    checkUserIdLength(userId);
    const user = this.store.get(userId);
    if (!user) throw new Refusal(5, 'User could not be found', 'QUERY-Dfbg2');
    if (caller.userId !== userId) requirePermission(caller, user, 'user.read');
    return { details: user.details, user: userMessage(user) };
  }

  /** ListUsers, in the order of the ids. Silently omits users that the caller may not read. */
  listUsers(headers: IncomingHttpHeaders, body: unknown): object {
    const caller = authenticate(headers);
    const { query, queries } = readMessage(listUsersRequest, body);
    const limit = query.limit || defaultListLimit;
    if (limit > maxListLimit) throw new Refusal(3, 'Limit exceeds the maximum', 'QUERY-4M0fs');
    const wanted = queries.map(({ inUserIdsQuery }) => {
      if (!inUserIdsQuery) throw new Refusal(3, 'List query is invalid', 'GRPC-vR9nC');
      return new Set(inUserIdsQuery.userIds);
    });
    const found = this.store
      .all()
      .filter(({ userId }) => wanted.every((ids) => ids.has(userId)))
      .sort((one, other) => (one.userId < other.userId === query.asc ? -1 : 1))
      .slice(0, limit)
      .filter((user) => caller.userId === user.userId || isPermitted(caller, user, 'user.read'));
    return {
      details: { ...(found.length > 0 && { totalResult: String(found.length) }), timestamp: this.store.moment() },
      ...(found.length > 0 && { result: found.map(userMessage) }),
    };
  }
}

/** The current state of all users. */
export class UserStore {
  private readonly users: Map<string, StoredUser>;
  private sequence = 0n;

  /** @param moreUsers users in addition to the population */
  constructor(
    readonly now: () => number,
    moreUsers: readonly EmbeddedUser[],
  ) {
    const creationDate = this.moment();
    const all: EmbeddedUser[] = structuredClone([...Object.values(users), ...moreUsers]);
    this.users = new Map(
      all.map((user) => [
        user.userId,
        { ...user, details: { changeDate: creationDate, creationDate, resourceOwner: user.organisation } },
      ]),
    );
  }

  get(userId: string): StoredUser | undefined {
    return this.users.get(userId);
  }

  all(): StoredUser[] {
    return [...this.users.values()];
  }

  /** Records a change of the user, and returns it: ZITADEL's answer to most writes. */
  change(user: StoredUser): { details: object } {
    this.sequence += 1n;
    user.details = { ...user.details, sequence: String(this.sequence), changeDate: this.moment() };
    return { details: user.details };
  }

  /** With microseconds, as in ZITADEL. */
  moment(): string {
    return new Date(this.now()).toISOString().replace('Z', '042Z');
  }
}

export interface StoredUser extends EmbeddedUser {
  details: { sequence?: string; changeDate: string; creationDate: string; resourceOwner: string };
}

const listUsersRequest = z.object({
  query: z.object({ limit: z.int().min(0).default(0), asc: z.boolean().default(false) }).prefault({}),
  queries: z
    .array(z.object({ inUserIdsQuery: z.object({ userIds: z.array(z.string()).default([]) }).optional() }))
    .default([]),
});

/** A user as ZITADEL sends it, without zero values. */
function userMessage(user: EmbeddedUser & { details: object }): object {
  const { userId, details, state, description } = user;
  const username = `user-${userId}`;
  return {
    userId,
    details,
    state: state === 'active' ? 'USER_STATE_ACTIVE' : 'USER_STATE_INITIAL',
    username,
    loginNames: [username],
    preferredLoginName: username,
    ...(user.kind === 'machine'
      ? { machine: { name: username, description } }
      : { human: { profile: { givenName: 'Someone', familyName: `who ${description}` }, phone: phoneMessage(user) } }),
  };
}

/** A human without a phone has an empty one. */
function phoneMessage({ phone }: EmbeddedUser): object {
  return phone ? { phone: phone.number, ...(phone.isVerified && { isVerified: true }) } : {};
}

/** Parses proto3 JSON: drops unknown fields, and refuses messages in any other shape. */
export function readMessage<T>(message: z.ZodType<T>, body: unknown): T {
  const { data, success } = message.safeParse(body);
  if (!success) throw new Refusal(3, 'proto: syntax error');
  return data;
}

export function checkUserIdLength(userId: string): void {
  if (!/^.{1,200}$/su.test(userId))
    throw new Refusal(3, 'invalid UserId: value length must be between 1 and 200 runes');
}
