import type { Call } from '../../src/embedded-zitadel/embedded-zitadel.js';

/** The names of google.rpc.Code by number: https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto */
// prettier-ignore
export const grpcCodes = [
  'OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;

/** The expected `zitadel` in an error's extensions. */
export const zitadel = (code: number, status: string, httpStatus: number, id: string, text: string) => ({
  code,
  status,
  httpStatus,
  id,
  message: `${text} (${id})`,
  details: [{ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id, message: text }],
});

/** The message of a call, without the user id, which is in the path over REST. */
export function messageOf({ body }: Call): object {
  const message = JSON.parse(body || '{}') as { userId?: string };
  delete message.userId;
  return message;
}

/** Makes ZITADEL answer with this JSON. */
export const answered = (body: object, status = 200) => ({
  answer: { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) },
});
