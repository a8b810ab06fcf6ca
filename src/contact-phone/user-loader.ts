import DataLoader from 'dataloader';
import pLimit from 'p-limit';
import type { User } from '../zitadel/messages.js';
import type { ZitadelClient } from '../zitadel/zitadel-client.js';
import type { Caller } from '../zitadel/zitadel-connection.js';
import { readError } from './contact-phone.errors.js';

/** By id: the user, or the CodedError that kept him from being read; nothing where ZITADEL knows no such user. */
export type Users = ReadonlyMap<string, User | Error>;

export type UserLoader = DataLoader<readonly string[], Users>;

/** ZITADEL lists 1000 users at most; a hundred keep its answer, and the time it takes, small. */
const maxUsersInACall = 100;
/** A request may ask for thousands of users. It must not take all connections from the others. */
const maxCallsAtOnce = 8;

/**
 * How users are read: all that are asked for at the same time, in one list or in several, each once, and a hundred in a call. It must
 * serve one caller only. It remembers nobody: who is asked for later is read anew.
 *
 * A key is a list of ids, and not one id: a promise for each user was a tenth of what a request for a hundred costs.
 *
 * @param batchSizes gets to know for how many users each call is
 */
export function createUserLoader(zitadel: ZitadelClient, caller: Caller, batchSizes: number[]): UserLoader {
  const inTurn = pLimit(maxCallsAtOnce);

  /** A call for one user tells missing from forbidden, and is up to date; a list leaves such users out, and may lag behind. */
  const read = (ids: readonly string[]) =>
    ids.length === 1 ? Promise.all(ids.map((id) => zitadel.getUserById(caller, id))) : zitadel.listUsers(caller, ids);

  const readInto = async (users: Map<string, User | Error>, ids: readonly string[]) => {
    batchSizes.push(ids.length);
    try {
      for (const user of await read(ids)) users.set(user.userId, user);
    } catch (error) {
      const reason = readError(error) as Error;
      for (const id of ids) users.set(id, reason);
    }
  };

  return new DataLoader<readonly string[], Users>(
    async (lists) => {
      const ids = [...new Set(lists.flat())];
      const users = new Map<string, User | Error>();
      const calls = [];
      for (let at = 0; at < ids.length; at += maxUsersInACall) {
        calls.push(inTurn(readInto, users, ids.slice(at, at + maxUsersInACall)));
      }
      await Promise.all(calls);
      return lists.map(() => users);
    },
    { cache: false },
  );
}
