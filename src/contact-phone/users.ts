import { setTimeout as pause } from 'node:timers/promises';
import DataLoader from 'dataloader';
import { Failure, type Verdict } from '../failure.js';
import { failureOf } from '../failures.js';
import type { Deadline } from '../zitadel/exchange.js';
import type { Phone, ZitadelUser } from '../zitadel/messages.js';
import type { ZitadelClient } from '../zitadel/zitadel-client.js';
import type { Caller } from '../zitadel/caller.js';

/** By id: the user, or why they could not be read. Users that ZITADEL does not list are absent. */
type Users = ReadonlyMap<string, ZitadelUser | Failure>;

export type UserLoader = DataLoader<readonly string[], Users>;

/** ZITADEL has no maximum; a hundred keeps its answers small and fast. */
const maxUsersPerCall = 100;
/** A request may ask for thousands of users. It must not use up the connections that others need. */
const maxConcurrentCalls = 8;

/**
 * Batches the lookups made in the same tick: each user once, a hundred per call, all within one deadline. No caching. One instance per
 * caller.
 *
 * Keys are lists of ids rather than ids: a promise per id cost a tenth of a request for a hundred users.
 */
export function createUserLoader(zitadel: ZitadelClient, caller: Caller): UserLoader {
  const readInto = async (
    users: Map<string, ZitadelUser | Failure>,
    ids: readonly string[],
    read: () => Promise<ZitadelUser[]>,
  ) => {
    try {
      for (const user of await read()) users.set(user.userId, user);
    } catch (error) {
      const failure = failureOf(error);
      for (const id of ids) users.set(id, failure);
    }
  };

  /**
   * GetUserByID distinguishes a missing user from a forbidden one, and a list omits both. One user is read with GetUserByID, several always
   * with ListUsers, even if the last call is for only one of them: otherwise the error would depend on how many users are read.
   */
  const readAll = async (ids: readonly string[], deadline: Deadline): Promise<Users> => {
    const users = new Map<string, ZitadelUser | Failure>();
    const [only] = ids;
    if (ids.length === 1 && only !== undefined) {
      await readInto(users, ids, async () => [await zitadel.getUserById(caller, only, deadline)]);
      return users;
    }
    let next = 0;
    // Several of these run at once, and share `next`.
    const readRest = async () => {
      while (next < ids.length) {
        const some = ids.slice(next, next + maxUsersPerCall);
        next += some.length;
        await readInto(users, some, () => zitadel.listUsers(caller, some, deadline));
      }
    };
    const concurrent = Math.min(Math.ceil(ids.length / maxUsersPerCall), maxConcurrentCalls);
    await Promise.all(Array.from({ length: concurrent }, readRest));
    return users;
  };

  return new DataLoader<readonly string[], Users>(
    async (lists) => {
      const users = await readAll([...new Set(lists.flat())], zitadel.deadline());
      return lists.map(() => users);
    },
    { cache: false },
  );
}

/** Longer than the 30 to 60 ms by which reads lag behind writes. */
const readLagMs = 100;

/**
 * Reads the user before an SMS to a new number.
 *
 * @throws {Failure} if they cannot have a phone, or the caller may not read them
 */
export async function readBeforeSet(
  zitadel: ZitadelClient,
  caller: Caller,
  userId: string,
  deadline: Deadline,
): Promise<ZitadelUser> {
  const user = await zitadel.getUserById(caller, userId, deadline);
  if (user.isMachine) throw new Failure({ code: 'NOT_FOUND', reason: 'NOT_A_HUMAN' });
  if (user.isInitial) throw new Failure({ code: 'FAILED_PRECONDITION', reason: 'USER_NOT_INITIALIZED' });
  return user;
}

/**
 * Reads the user before an SMS to their current phone. If there is none, reads again: the first read may have been stale.
 *
 * @throws {Failure} also if they have no phone
 */
export async function readBeforeResend(
  ...args: Parameters<typeof readBeforeSet>
): Promise<ZitadelUser & { phone: Phone }> {
  let user = await readBeforeSet(...args);
  if (!user.phone) {
    await pause(readLagMs);
    user = await readBeforeSet(...args);
  }
  if (!user.phone) throw new Failure({ code: 'FAILED_PRECONDITION', reason: 'NO_PHONE' });
  return { ...user, phone: user.phone };
}

/**
 * Whether the caller may read the user.
 *
 * @throws {Failure} if that remains unknown
 */
export async function mayRead(
  ...[zitadel, caller, userId, deadline]: Parameters<typeof readBeforeSet>
): Promise<boolean> {
  try {
    await zitadel.getUserById(caller, userId, deadline);
    return true;
  } catch (error) {
    const { verdict } = failureOf(error);
    if (verdict.code === 'FORBIDDEN' || verdict.code === 'NOT_FOUND') return false;
    throw error;
  }
}

/** Explains a failure by reading the user. If they cannot be read, returns the failure unchanged. */
export async function explain(
  failure: Failure,
  zitadel: ZitadelClient,
  caller: Caller | undefined,
  userId: string,
  deadline: Deadline,
): Promise<Failure> {
  if (!caller || deadline.left() <= 0) return failure;
  try {
    return explained(failure, await zitadel.getUserById(caller, userId, deadline));
  } catch {
    return failure;
  }
}

/** ZITADEL uses some errors for several reasons. Finds the reason in the user's state; if there is none, keeps the verdict. */
export function explained(failure: Failure, user: ZitadelUser): Failure {
  if (!failure.facts.isAmbiguous) return failure;
  // The caller has read the user, so the limit on strangers does not bind them.
  const attemptsLeft = failure.facts.attemptsLeftOfReader;
  return failure.with({ isAmbiguous: false, attemptsLeft }, verdictFor(user, failure.verdict));
}

function verdictFor({ isMachine, phone }: ZitadelUser, verdict: Verdict): Verdict {
  if (isMachine) return { code: 'NOT_FOUND', reason: 'NOT_A_HUMAN' };
  if (verdict.code === 'NOT_FOUND') return verdict;
  if (!phone) return { code: 'FAILED_PRECONDITION', reason: 'NO_PHONE' };
  return phone.isVerified ? { code: 'FAILED_PRECONDITION', reason: 'ALREADY_VERIFIED' } : verdict;
}
