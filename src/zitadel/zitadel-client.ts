import { failedCall } from '../failures.js';
import type { Deadline } from './exchange.js';
import {
  changeResponse,
  codeResponse,
  getUserByIdResponse,
  listUsersRequest,
  listUsersResponse,
  resendPhoneCodeRequest,
  setPhoneRequest,
  verifyPhoneRequest,
  type ChangeResponse,
  type CodeResponse,
  type PhoneCodeMode,
  type SetPhoneMode,
  type ZitadelUser,
} from './messages.js';
import type { Caller, ZitadelConnection } from './zitadel-connection.js';

/** The calls to ZITADEL's user service v2 that we need. A write is sent at most once, a read at most twice. */
export class ZitadelClient {
  constructor(private readonly connection: ZitadelConnection) {}

  /** Starts the time limit that all calls for one field share. */
  deadline(): Deadline {
    return this.connection.deadline();
  }

  /**
   * Sets the user's phone. It is unverified unless the mode is MARK_VERIFIED. Codes for the previous phone stop working.
   * SetPhone, `POST /v2/users/{userId}/phone`.
   *
   * @param number in E.164 format: ZITADEL would read any other format as a Swiss number
   * @returns the change, and the code in the mode RETURN_CODE
   * @throws {Failure}
   */
  setPhone(
    caller: Caller,
    userId: string,
    number: string,
    mode: SetPhoneMode,
    deadline: Deadline,
  ): Promise<CodeResponse> {
    const call = {
      rpc: 'SetPhone',
      method: 'POST',
      path: pathOf(userId, '/phone'),
      body: setPhoneRequest(number, mode),
      userIds: [userId],
      sendsSms: mode === 'SEND_CODE',
      secrets: [number],
    } as const;
    return this.connection.write(caller, codeResponse, call, deadline);
  }

  /**
   * Creates a new code for the user's unverified phone. It replaces the previous one.
   * ResendPhoneCode, `POST /v2/users/{userId}/phone/resend`.
   *
   * @returns the change, and the code in the mode RETURN_CODE
   * @throws {Failure}
   */
  resendPhoneCode(caller: Caller, userId: string, mode: PhoneCodeMode, deadline: Deadline): Promise<CodeResponse> {
    const call = {
      rpc: 'ResendPhoneCode',
      method: 'POST',
      path: pathOf(userId, '/phone/resend'),
      body: resendPhoneCodeRequest[mode],
      userIds: [userId],
      sendsSms: mode === 'SEND_CODE',
    } as const;
    return this.connection.write(caller, codeResponse, call, deadline);
  }

  /**
   * Marks the user's phone as verified if the code is correct. VerifyPhone, `POST /v2/users/{userId}/phone/verify`.
   *
   * @param verificationCode 1–20 characters, case-sensitive
   * @throws {Failure}
   */
  verifyPhone(caller: Caller, userId: string, verificationCode: string, deadline: Deadline): Promise<ChangeResponse> {
    const call = {
      rpc: 'VerifyPhone',
      method: 'POST',
      path: pathOf(userId, '/phone/verify'),
      body: verifyPhoneRequest(verificationCode),
      userIds: [userId],
      secrets: [verificationCode],
    } as const;
    return this.connection.write(caller, changeResponse, call, deadline);
  }

  /**
   * Removes the user's phone. RemovePhone, `DELETE /v2/users/{userId}/phone`.
   *
   * @throws {Failure} also if the user has no phone
   */
  removePhone(caller: Caller, userId: string, deadline: Deadline): Promise<ChangeResponse> {
    const path = pathOf(userId, '/phone');
    const call = { rpc: 'RemovePhone', method: 'DELETE', path, body: null, userIds: [userId] } as const;
    return this.connection.write(caller, changeResponse, call, deadline);
  }

  /**
   * Reads one user, usually as of the last write. GetUserByID, `GET /v2/users/{userId}`.
   *
   * @throws {Failure} also if the user does not exist, or the caller may not read them
   */
  async getUserById(caller: Caller, userId: string, deadline: Deadline): Promise<ZitadelUser> {
    const path = pathOf(userId);
    const call = { rpc: 'GetUserByID', method: 'GET', path, body: null, userIds: [userId] } as const;
    const { user } = await this.connection.read(caller, getUserByIdResponse, call, deadline);
    // Never show one user's phone as another's.
    if (user.userId !== userId)
      throw failedCall({ rpc: 'GetUserByID', kind: 'malformed', sent: true, httpStatus: 200 });
    return user;
  }

  /**
   * Reads several users at once. The result may lag behind the last write. ListUsers, `POST /v2/users`.
   *
   * @param userIds at most 1000
   * @returns the users that exist and that the caller may read, in no particular order
   * @throws {Failure}
   */
  async listUsers(caller: Caller, userIds: readonly string[], deadline: Deadline): Promise<ZitadelUser[]> {
    const body = listUsersRequest(userIds);
    const call = { rpc: 'ListUsers', method: 'POST', path: '/v2/users', body, userIds } as const;
    const { result } = await this.connection.read(caller, listUsersResponse, call, deadline);
    return result ?? [];
  }
}

function pathOf(userId: string, below = ''): string {
  return `/v2/users/${encodeURIComponent(userId)}${below}`;
}
