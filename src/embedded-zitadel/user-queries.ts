import type { IncomingHttpHeaders } from 'node:http';
import { authenticate, isPermitted, requirePermission } from './callers.js';
import { checkUserIdLength, listUsersRequest, readMessage, userMessage } from './messages.js';
import { Refusal } from './refusal.js';
import type { UserStore } from './user-store.js';

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
