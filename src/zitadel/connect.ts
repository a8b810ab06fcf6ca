import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import * as z from 'zod';
import { rest, type ZitadelApi } from './rest.js';

/** The names of google.rpc.Code, from 1: https://connectrpc.com/docs/protocol/#error-codes */
// prettier-ignore
const codes = [
  'canceled', 'unknown', 'invalid_argument', 'deadline_exceeded', 'not_found', 'already_exists', 'permission_denied',
  'resource_exhausted', 'failed_precondition', 'aborted', 'out_of_range', 'unimplemented', 'internal', 'unavailable',
  'data_loss', 'unauthenticated',
] as const;

/** https://connectrpc.com/docs/protocol/#error-end-stream */
const connectError = z.object({
  code: z.enum(codes),
  message: z.string().nullish(),
  details: z.array(z.unknown()).nullish(),
});

/** `value` is a protobuf message in Base64. `debug` is the same in JSON, for debugging: servers may omit it, or put anything there. */
const connectDetail = z.object({
  type: z.string(),
  value: z.string(),
  debug: z.looseObject({}).optional().catch(undefined),
});

/**
 * Every RPC is a POST to its own path, with the whole message in the body. `Connect-Timeout-Ms` is never sent: ZITADEL would answer 403 when
 * the time is up.
 */
export const connect: ZitadelApi = {
  headers: { 'connect-protocol-version': '1' },

  address: ({ rpc, userId, message }) => {
    const method = rpc === 'Probe' ? 'GetUserByID' : rpc;
    const body = JSON.stringify(userId === undefined ? message : { userId, ...message });
    return { method: 'POST', path: `/zitadel.user.v2.UserService/${method}`, body };
  },

  /** Refuses the same separators as over REST, so the two differ as little as possible. UTF-8 cannot encode a lone surrogate. */
  isUserId: (userId) => /^(?!\.\.?$)[^\p{Cc}\p{Cs}/\\]{1,200}$/u.test(userId),

  readError: (json) => {
    const { data } = connectError.safeParse(json);
    // If ZITADEL does not serve Connect, its REST gateway answers.
    if (!data) return rest.readError(json);
    return { ...data, code: codes.indexOf(data.code) + 1, details: data.details?.map(restDetail) };
  },
};

/** Converts a detail to its form over REST. If it cannot be read, passes it on unchanged. */
function restDetail(detail: unknown): unknown {
  const { data } = connectDetail.safeParse(detail);
  if (!data) return detail;
  const { type, value, debug } = data;
  const fields = type === 'zitadel.v1.ErrorDetail' ? readErrorDetail(Buffer.from(value, 'base64')) : debug;
  const typed = { '@type': `type.googleapis.com/${type}` };
  // The type comes first, as over REST, and wins over one in `debug`, which could pretend to be an ErrorDetail.
  return { ...typed, ...(fields ?? { value }), ...typed };
}

/** https://github.com/zitadel/zitadel/blob/main/proto/zitadel/message.proto */
const errorDetailFields: Partial<Record<number, string>> = { 1: 'id', 2: 'message' };

/** @returns undefined if the bytes are not an ErrorDetail */
function readErrorDetail(bytes: Uint8Array): object | undefined {
  const detail: Record<string, string> = {};
  try {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      const name = errorDetailFields[field];
      if (name !== undefined && wireType === WireType.LengthDelimited) detail[name] = reader.string();
      else reader.skip(wireType, field);
    }
    return detail;
  } catch {
    return undefined;
  }
}
