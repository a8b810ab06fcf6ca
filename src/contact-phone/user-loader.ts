import DataLoader from 'dataloader';
import pLimit from 'p-limit';
import type { Deadline } from '../zitadel/deadline.js';
import type { User } from '../zitadel/messages.js';
import type { ZitadelClient } from '../zitadel/zitadel-client.js';
import type { Caller } from '../zitadel/zitadel-connection.js';
import { readError } from './contact-phone.errors.js';

/** By id: the user, or a CodedError if they could not be read. Users that ZITADEL does not list are missing. */
export type Users = ReadonlyMap<string, User | Error>;

export type UserLoader = DataLoader<readonly string[], Users>;

/** ZITADEL lists at most 1000 users; a hundred keeps its answers small and fast. */
const maxUsersInACall = 100;
/** A request may ask for thousands of users. It must not use up the connections that others need. */
const maxCallsAtOnce = 8;

/**
 * Batches the lookups made in the same tick: each user once, a hundred per call, all within one deadline. No caching. One instance per
 * caller.
 *
 * Keys are lists of ids rather than ids: a promise per id cost a tenth of a request for a hundred users.
 *
 * @param batchSizes collects the number of users of each call
 */
export function createUserLoader(zitadel: ZitadelClient, caller: Caller, batchSizes: number[]): UserLoader {
  const inTurn = pLimit(maxCallsAtOnce);

  /** GetUserByID distinguishes missing from forbidden, and is up to date. A list omits such users, and may lag behind. */
  const read = (ids: readonly string[], deadline: Deadline) =>
    ids.length === 1
      ? Promise.all(ids.map((id) => zitadel.getUserById(caller, id, deadline)))
      : zitadel.listUsers(caller, ids, deadline);

  const readInto = async (users: Map<string, User | Error>, ids: readonly string[], deadline: Deadline) => {
    batchSizes.push(ids.length);
    try {
      for (const user of await read(ids, deadline)) users.set(user.userId, user);
    } catch (error) {
      const reason = readError(error) as Error;
      for (const id of ids) users.set(id, reason);
    }
  };

  return new DataLoader<readonly string[], Users>(
    async (lists) => {
      const ids = [...new Set(lists.flat())];
      const users = new Map<string, User | Error>();
      const deadline = zitadel.deadline();
      const calls = [];
      for (let at = 0; at < ids.length; at += maxUsersInACall) {
        calls.push(inTurn(readInto, users, ids.slice(at, at + maxUsersInACall), deadline));
      }
      await Promise.all(calls);
      return lists.map(() => users);
    },
    { cache: false },
  );
}
