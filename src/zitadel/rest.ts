import * as z from 'zod';
import type { Rpc } from '../failure.js';
import type { UpstreamRequest } from './exchange.js';

export interface RpcRequest {
  rpc: Rpc;
  /** The user that the call is about; undefined for ListUsers, whose message contains the ids. */
  userId?: string;
  /** Without the user's id. */
  message: object;
}

/** google.rpc.Status: https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto */
type RpcStatus = z.infer<typeof rpcStatus>;

/** What differs between ZITADEL's REST and Connect APIs: how a call is addressed, and how an error is read. */
export interface ZitadelApi {
  /** Sent with every request. */
  headers: Record<string, string>;
  address: (request: RpcRequest) => Pick<UpstreamRequest, 'method' | 'path' | 'body'>;
  /** Whether a call can be made for a user with this id. ZITADEL's ids have 1–200 characters. */
  isUserId: (userId: string) => boolean;
  /** @returns undefined if it is not one of ZITADEL's errors */
  readError: (json: unknown) => RpcStatus | undefined;
}

const routes: Record<Exclude<Rpc, 'ListUsers'>, { method: UpstreamRequest['method']; below: string }> = {
  GetUserByID: { method: 'GET', below: '' },
  Probe: { method: 'GET', below: '' },
  SetPhone: { method: 'POST', below: '/phone' },
  ResendPhoneCode: { method: 'POST', below: '/phone/resend' },
  VerifyPhone: { method: 'POST', below: '/phone/verify' },
  RemovePhone: { method: 'DELETE', below: '/phone' },
};

/** ZITADEL's errors have a google.rpc.Code; a proxy's may have an HTTP status instead. */
const rpcStatus = z.object({
  code: z.int().min(1).max(16),
  message: z.string().nullish(),
  details: z.array(z.unknown()).nullish(),
});

/** Each RPC has its own route: https://zitadel.com/docs/apis/resources/user_service_v2 */
export const rest: ZitadelApi = {
  headers: {},

  address: ({ rpc, userId = '', message }) => {
    if (rpc === 'ListUsers') return { method: 'POST', path: '/v2/users', body: JSON.stringify(message) };
    const { method, below } = routes[rpc];
    const path = `/v2/users/${encodeURIComponent(userId)}${below}`;
    return { method, path, body: method === 'POST' ? JSON.stringify(message) : null };
  },

  /**
   * Printable ASCII without separators. ZITADEL fails on other characters before it checks the token. It routes by the decoded path, so
   * an id that contains a separator, or is a dot segment, could call another RPC even if it is encoded.
   */
  isUserId: (userId) => /^(?!\.\.?$)[\x20-\x2e\x30-\x5b\x5d-\x7e]{1,200}$/.test(userId),

  readError: (json) => rpcStatus.safeParse(json).data,
};
