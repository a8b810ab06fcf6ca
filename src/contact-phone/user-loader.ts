import DataLoader from 'dataloader';
import pLimit, { type LimitFunction } from 'p-limit';
import { CodedError } from '../errors.js';
import type { User } from '../zitadel/messages.js';
import type { ZitadelClient } from '../zitadel/zitadel-client.js';
import type { Caller } from '../zitadel/zitadel-connection.js';
import { readError } from './contact-phone.errors.js';

export type UserLoader = DataLoader<string, User>;

/** ZITADEL lists 1000 users at most; a hundred keep its answer, and the time it takes, small. */
const maxUsersInACall = 100;
/** A request may ask for thousands of users. It must not take all connections from the others. */
const maxCallsAtOnce = 8;

/**
 * How users are read: each once, and those asked for at the same time in one call. It remembers what it has read, so it must serve
 * one request of one caller only. A user who cannot be read is a CodedError.
 *
 * @param batchSizes gets to know for how many users each call is
 */
export function createUserLoader(zitadel: ZitadelClient, caller: Caller, batchSizes: number[]): UserLoader {
  /** A call for one user tells missing from forbidden, and is up to date; a list leaves such users out, and may lag behind. */
  const read = (ids: readonly string[]) =>
    ids.length === 1 ? Promise.all(ids.map((id) => zitadel.getUserById(caller, id))) : zitadel.listUsers(caller, ids);
  let inTurn: LimitFunction | undefined;

  return new DataLoader<string, User>(
    async (ids) => {
      batchSizes.push(ids.length);
      const users = await (inTurn ??= pLimit(maxCallsAtOnce))(read, ids).catch((error: unknown) => {
        throw readError(error);
      });
      const usersById = new Map(users.map((user) => [user.userId, user]));
      return ids.map((id) => usersById.get(id) ?? new CodedError({ code: 'NOT_FOUND' }));
    },
    { maxBatchSize: maxUsersInACall },
  );
}
