import { Pool } from 'undici';
import type { z } from 'zod';
import type { ZitadelConfig } from '../config.js';
import { parseAnswer } from './answer.js';
import { exchange, type UpstreamRequest } from './exchange.js';
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
import { ZitadelError } from './zitadel-error.js';

/** What ZITADEL gets to know of the caller: these headers of his request, under their own names, and no others. */
export interface Caller {
  readonly authorization: string;
  readonly 'accept-language'?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

type RequestParts = Pick<UpstreamRequest, 'method' | 'path' | 'body'>;

const connections = 128;
const connectTimeoutMs = 3_000;
const maxAnswerBytes = 1024 * 1024;

/** Our few calls of ZITADEL's user service v2. A write is sent at most once, a read at most twice; no redirect is followed. */
export class ZitadelClient {
  private readonly pool: Pool;
  private readonly basePath: string;
  private readonly ownHeaders: Record<string, string>;

  constructor(private readonly config: ZitadelConfig) {
    this.basePath = config.url.pathname.replace(/\/+$/, '');
    this.ownHeaders = {
      accept: 'application/json',
      ...(config.instanceHost !== undefined && { 'x-zitadel-instance-host': config.instanceHost }),
    };
    this.pool = new Pool(config.url.origin, {
      connections,
      connect: { timeout: connectTimeoutMs },
      maxResponseSize: maxAnswerBytes,
      // The deadline of the whole call is kept by `exchange`.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
  }

  /**
   * Makes a new code for the user's unverified phone, which replaces the one before.
   * ResendPhoneCode, `POST /v2/users/{userId}/phone/resend`.
   *
   * @returns the change, and the code in the mode RETURN_CODE
   * @throws {ZitadelError}
   */
  resendPhoneCode(caller: Caller, userId: string, mode: PhoneCodeMode): Promise<ResendPhoneCodeResponse> {
    return this.send('ResendPhoneCode', caller, resendPhoneCodeResponse, {
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
    const { user } = await this.read('GetUserByID', caller, getUserByIdResponse, {
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
    const { result } = await this.read('ListUsers', caller, listUsersResponse, {
      method: 'POST',
      path: '/v2/users',
      body: listUsersRequest(userIds),
    });
    return result ?? [];
  }

  /** Lets the calls in flight end. */
  close(): Promise<void> {
    return this.pool.close();
  }

  /** A read changes nothing, so it is repeated once, in what is left of its time, if that may help. */
  private async read<T>(operation: string, caller: Caller, response: z.ZodType<T>, request: RequestParts): Promise<T> {
    const began = performance.now();
    try {
      return await this.send(operation, caller, response, request);
    } catch (error) {
      if (!(error instanceof ZitadelError) || !error.isWorthRepeating) throw error;
      const elapsedMs = performance.now() - began;
      return await this.send(operation, caller, response, request, this.config.timeoutMs - elapsedMs);
    }
  }

  /** Sends a request once, which is all that a write may be. */
  private async send<T>(
    operation: string,
    caller: Caller,
    response: z.ZodType<T>,
    { method, path, body }: RequestParts,
    deadlineMs = this.config.timeoutMs,
  ): Promise<T> {
    const headers: UpstreamRequest['headers'] = { ...this.ownHeaders, ...caller };
    if (body !== null) headers['content-type'] = 'application/json';
    const request = { operation, method, path: this.basePath + path, headers, body };
    return parseAnswer(operation, response, await exchange(this.pool, request, deadlineMs));
  }
}
