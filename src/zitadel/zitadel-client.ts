import {
  getUserByIdResponse,
  listUsersRequest,
  listUsersResponse,
  resendPhoneCodeRequest,
  resendPhoneCodeResponse,
  type PhoneCodeMode,
  type ResendPhoneCodeResponse,
  type User,
} from './messages.js';
import type { Caller, ZitadelConnection } from './zitadel-connection.js';
import { ZitadelError } from './zitadel-error.js';

/** Our few calls of ZITADEL's user service v2. A write is sent at most once, a read at most twice. */
export class ZitadelClient {
  constructor(private readonly connection: ZitadelConnection) {}

  /**
   * Makes a new code for the user's unverified phone, which replaces the one before.
   * ResendPhoneCode, `POST /v2/users/{userId}/phone/resend`.
   *
   * @returns the change, and the code in the mode RETURN_CODE
   * @throws {ZitadelError}
   */
  resendPhoneCode(caller: Caller, userId: string, mode: PhoneCodeMode): Promise<ResendPhoneCodeResponse> {
    return this.connection.send('ResendPhoneCode', caller, resendPhoneCodeResponse, {
      method: 'POST',
      path: `/v2/users/${encodeURIComponent(userId)}/phone/resend`,
      body: resendPhoneCodeRequest[mode],
    });
  }

  /**
   * Reads one user, as he is after the last write. GetUserByID, `GET /v2/users/{userId}`.
   *
   * @throws {ZitadelError} also when he does not exist, or the caller may not read him
   */
  async getUserById(caller: Caller, userId: string): Promise<User> {
    const { user } = await this.connection.read('GetUserByID', caller, getUserByIdResponse, {
      method: 'GET',
      path: `/v2/users/${encodeURIComponent(userId)}`,
      body: null,
    });
    // Or someone would be shown another's phone.
    if (user.userId !== userId) throw new ZitadelError('GetUserByID', 'malformed', { sent: true, httpStatus: 200 });
    return user;
  }

  /**
   * Reads several users at once, as they were at some recent time. ListUsers, `POST /v2/users`.
   *
   * @param userIds 1000 at most
   * @returns those that exist and that the caller may read, in an order of ZITADEL's
   * @throws {ZitadelError}
   */
  async listUsers(caller: Caller, userIds: readonly string[]): Promise<User[]> {
    const { result } = await this.connection.read('ListUsers', caller, listUsersResponse, {
      method: 'POST',
      path: '/v2/users',
      body: listUsersRequest(userIds),
    });
    return result ?? [];
  }
}
