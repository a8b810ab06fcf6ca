import DataLoader from 'dataloader';
import { CodedError } from '../errors.js';
import type { User } from '../zitadel/messages.js';
import type { Caller, ZitadelClient } from '../zitadel/zitadel-client.js';
import { readError } from './contact-phone.errors.js';

export type UserLoader = DataLoader<string, User>;

/** ZITADEL lists 1000 users at most; a hundred keep its answer, and the time it takes, small. */
const maxUsersInACall = 100;

/**
 * How users are read: each once, and those asked for at the same time in one call. It remembers what it has read, so it must serve
 * one request of one caller only. A user who cannot be read is a CodedError.
 */
export function createUserLoader(zitadel: ZitadelClient, caller: Caller): UserLoader {
  /** A call for one user tells missing from forbidden, and is up to date; a list leaves such users out, and may lag behind. */
  const read = async ([id = '', ...others]: readonly string[]) =>
    others.length === 0 ? [await zitadel.getUserById(caller, id)] : zitadel.listUsers(caller, [id, ...others]);

  return new DataLoader<string, User>(
    async (ids) => {
      const users = await read(ids).catch((error: unknown) => {
        throw readError(error);
      });
      const usersById = new Map(users.map((user) => [user.userId, user]));
      return ids.map((id) => usersById.get(id) ?? new CodedError({ code: 'NOT_FOUND' }));
    },
    { maxBatchSize: maxUsersInACall },
  );
}
