import { Pool } from 'undici';
import { z } from 'zod';
import type { ZitadelConfig } from '../config.js';
import { parseAnswer } from './answer.js';
import { exchange, type UpstreamRequest } from './exchange.js';

/** What ZITADEL gets to know of the caller: these headers of his request, under their own names, and no others. */
export interface Caller {
  readonly authorization: string;
  readonly 'accept-language'?: string | undefined;
  readonly traceparent?: string | undefined;
  readonly tracestate?: string | undefined;
}

export type PhoneCodeMode = 'SEND_CODE' | 'RETURN_CODE';

export type ResendPhoneCodeResponse = z.infer<typeof resendPhoneCodeResponse>;

const connections = 128;
const connectTimeoutMs = 3_000;
const maxAnswerBytes = 1024 * 1024;

/** ZITADEL takes an empty or misspelt mode for "send an SMS", so the whole body is spelled out here. */
const resendPhoneCodeRequest: Record<PhoneCodeMode, string> = {
  SEND_CODE: '{"sendCode":{}}',
  RETURN_CODE: '{"returnCode":{}}',
};

// proto3 JSON leaves zero values out, and takes null for left out: https://protobuf.dev/programming-guides/json/
const objectDetails = z.object({
  sequence: z
    .string()
    .regex(/^\d+$/)
    .nullish()
    .transform((sequence) => sequence ?? '0'),
  changeDate: z.iso.datetime({ offset: true }),
  resourceOwner: z
    .string()
    .nullish()
    .transform((id) => id ?? ''),
});

const resendPhoneCodeResponse = z.object({
  details: objectDetails,
  verificationCode: z.string().nullish(),
});

/** Our few calls of ZITADEL's user service v2. A call is sent at most once, and no redirect is followed. */
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
    return this.call('ResendPhoneCode', caller, resendPhoneCodeResponse, {
      method: 'POST',
      path: `/v2/users/${encodeURIComponent(userId)}/phone/resend`,
      body: resendPhoneCodeRequest[mode],
    });
  }

  /** Lets the calls in flight end. */
  close(): Promise<void> {
    return this.pool.close();
  }

  private async call<T>(
    operation: string,
    caller: Caller,
    response: z.ZodType<T>,
    { method, path, body }: Pick<UpstreamRequest, 'method' | 'path' | 'body'>,
  ): Promise<T> {
    const headers: UpstreamRequest['headers'] = { ...this.ownHeaders, ...caller };
    if (body !== null) headers['content-type'] = 'application/json';
    const request = { operation, method, path: this.basePath + path, headers, body };
    return parseAnswer(operation, response, await exchange(this.pool, request, this.config.timeoutMs));
  }
}
