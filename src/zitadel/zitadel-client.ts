import * as z from 'zod';
import { failedCall } from '../failures.js';
import type { Deadline } from './exchange.js';
import {
  changeResponse,
  codeResponse,
  sequence,
  userMessage,
  verification,
  type ChangeResponse,
  type CodeResponse,
  type PhoneCodeMode,
  type SetPhoneMode,
  type UserMessage,
  type ZitadelUser,
} from './messages.js';
import type { Caller } from './caller.js';
import type { ZitadelConnection } from './zitadel-connection.js';

/** The calls to ZITADEL's user service v2 that we need. A write is sent at most once, a read at most twice. */
export class ZitadelClient {
  constructor(private readonly connection: ZitadelConnection) {}

  /** Starts the time limit that all calls for one field share. */
  deadline(): Deadline {
    return this.connection.deadline();
  }

  /** Whether a call can be made for a user with this id. */
  isUserId(userId: string): boolean {
    return this.connection.api.isUserId(userId);
  }

  /**
   * SetPhone: sets the user's phone, unverified unless the mode is MARK_VERIFIED. Codes for the previous phone stop working.
   *
   * @param number in E.164 format: ZITADEL reads any other format as a Swiss number
   * @param smsCountry the country of the number if the mode is SEND_CODE: see `StartedCall`
   * @returns the change, and the code in the mode RETURN_CODE
   * @throws {Failure}
   */
  setPhone(
    caller: Caller,
    userId: string,
    number: string,
    mode: SetPhoneMode,
    smsCountry: string | undefined,
    deadline: Deadline,
  ): Promise<CodeResponse> {
    const call = {
      rpc: 'SetPhone',
      userId,
      message: { phone: number, ...verification[mode] },
      smsCountry,
      secrets: [number],
    } as const;
    return this.connection.write(caller, codeResponse, call, deadline);
  }

  /**
   * ResendPhoneCode: creates a new code for the user's unverified phone. It replaces the previous one.
   *
   * @param smsCountry the country of the user's number if the mode is SEND_CODE: see `StartedCall`
   * @returns the change, and the code in the mode RETURN_CODE
   * @throws {Failure}
   */
  resendPhoneCode(
    caller: Caller,
    userId: string,
    mode: PhoneCodeMode,
    smsCountry: string | undefined,
    deadline: Deadline,
  ): Promise<CodeResponse> {
    const call = { rpc: 'ResendPhoneCode', userId, message: verification[mode], smsCountry } as const;
    return this.connection.write(caller, codeResponse, call, deadline);
  }

  /**
   * VerifyPhone: marks the user's phone as verified if the code is correct.
   *
   * @param verificationCode 1–20 characters, case-sensitive
   * @throws {Failure}
   */
  verifyPhone(caller: Caller, userId: string, verificationCode: string, deadline: Deadline): Promise<ChangeResponse> {
    const secrets = [verificationCode];
    const call = { rpc: 'VerifyPhone', userId, message: { verificationCode }, secrets } as const;
    return this.connection.write(caller, changeResponse, call, deadline);
  }

  /**
   * RemovePhone: removes the user's phone.
   *
   * @throws {Failure} also if the user has no phone
   */
  removePhone(caller: Caller, userId: string, deadline: Deadline): Promise<ChangeResponse> {
    const call = { rpc: 'RemovePhone', userId, message: {} } as const;
    return this.connection.write(caller, changeResponse, call, deadline);
  }

  /**
   * GetUserByID: reads one user. The result may lag behind the last write, and rarely misses one for good.
   *
   * @throws {Failure} also if the user does not exist, or the caller may not read them
   */
  async getUserById(caller: Caller, userId: string, deadline: Deadline): Promise<ZitadelUser> {
    const call = { rpc: 'GetUserByID', userId, message: {} } as const;
    const { user, details } = await this.connection.read(caller, getUserByIdResponse, call, deadline);
    // Never show one user's phone as another's.
    if (user.userId !== userId)
      throw failedCall({ rpc: 'GetUserByID', kind: 'malformed', sent: true, httpStatus: 200 });
    return { ...user, ...(details && { sequence: details.sequence }) };
  }

  /**
   * ListUsers: reads several users in one call. The result may lag behind the last write.
   *
   * @returns the users that exist and that the caller may read, in no particular order
   * @throws {Failure}
   */
  async listUsers(caller: Caller, userIds: readonly string[], deadline: Deadline): Promise<ZitadelUser[]> {
    // The version that was recorded has no default limit, but another may have one.
    const message = { query: { limit: userIds.length }, queries: [{ inUserIdsQuery: { userIds } }] };
    const call = { rpc: 'ListUsers', message, userIds } as const;
    const { result } = await this.connection.read(caller, listUsersResponse, call, deadline);
    return result ?? [];
  }
}

const isHumanOrMachine = ({ human, machine }: UserMessage) => Boolean(human ?? machine);
const humanOrMachine = 'humanOrMachine be a human or a machine';

function userOf({ userId, state, human }: UserMessage): ZitadelUser {
  const { phone: number, isVerified } = human?.phone ?? {};
  const phone = number ? { number, isVerified: isVerified ?? false } : null;
  return { userId, isMachine: !human, isInitial: state === 'USER_STATE_INITIAL', phone };
}

const getUserByIdResponse = z.object({
  details: z.object({ sequence }).nullish(),
  user: userMessage.refine(isHumanOrMachine, humanOrMachine).transform(userOf),
});

/** ZITADEL always sends `details`. If it were optional, any JSON object would pass as an empty list. One refinement checks all users. */
const listUsersResponse = z.object({
  details: z.object({}),
  result: z
    .array(userMessage)
    .refine((users) => users.every(isHumanOrMachine), humanOrMachine)
    .transform((users) => users.map(userOf))
    .nullish(),
});
