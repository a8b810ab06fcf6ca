import { gunzipSync } from 'node:zlib';
import { z } from 'zod';
import type { UpstreamAnswer } from './exchange.js';
import { operatorNote } from './operator-note.js';
import { ZitadelError, type ZitadelErrorKind } from './zitadel-error.js';

/** google.rpc.Status. Details of an unknown type must not break anything, so they are passed through unchanged. */
const rpcStatus = z.object({
  code: z.int().nullish(),
  message: z.string().nullish(),
  details: z.array(z.unknown()).nullish(),
});

/** The id reaches logs and clients, so its format is strict. */
const zitadelDetail = z.object({
  '@type': z.string().startsWith('type.googleapis.com/zitadel.'),
  id: z.string().regex(/^[\w-]{1,64}$/),
});

/** A client may get these thousands of times in one answer, once for each user in a list. Real messages have about 130 characters. */
const maxMessageLength = 300;
const maxDetailsLength = 1_000;

const maxInflatedBytes = 1024 * 1024;

/**
 * Parses an answer as the expected response.
 *
 * @param secrets parts of the request that must not reach a log
 * @throws {ZitadelError} `rejected` with ZITADEL's own error; `foreign` if something else answered; `malformed` if the JSON does not
 * have the expected shape
 */
export function parseAnswer<T>(
  operation: string,
  response: z.ZodType<T>,
  answer: UpstreamAnswer,
  secrets: readonly string[] = [],
): T {
  const { httpStatus, headers } = answer;
  const facts = (note?: string) => ({
    sent: true,
    httpStatus,
    retryAfter: secondsFrom(headers['retry-after']),
    note: note && operatorNote(note, secrets),
  });
  const fail = (kind: ZitadelErrorKind, note: string) => new ZitadelError(operation, kind, facts(note));

  const { location, 'content-type': contentType, 'content-encoding': encoding = 'identity' } = headers;
  if (httpStatus >= 300 && httpStatus < 400) throw fail('foreign', `redirect to ${originOf(location)}`);
  if (!isJson(contentType))
    throw fail('foreign', contentType === undefined ? 'no content type' : `content type ${contentType}`);
  const text = decode(answer.body, encoding);
  if (text === undefined) throw fail('malformed', `content encoding ${encoding}`);

  const body = parseJson(text);
  const read = <S>(shape: z.ZodType<S>): S => {
    const parsed = shape.safeParse(body);
    if (parsed.success) return parsed.data;
    throw new ZitadelError(operation, 'malformed', facts(), parsed.error);
  };
  if (httpStatus >= 200 && httpStatus < 300) return read(response);

  const { code, message, details } = read(rpcStatus);
  const id = details?.map((detail) => zitadelDetail.safeParse(detail).data?.id).find((found) => found !== undefined);
  throw new ZitadelError(operation, 'rejected', {
    ...facts(message ?? undefined),
    id,
    code: code ?? undefined,
    zitadelMessage: message?.slice(0, maxMessageLength),
    details: details && JSON.stringify(details).length <= maxDetailsLength ? details : undefined,
  });
}

function isJson(contentType: string | undefined): boolean {
  return contentType === 'application/json' || /^application\/([^;\s]+\+)?json\s*(;|$)/i.test(contentType ?? '');
}

/** Only the origin: a redirect's path and query may hold a token. */
function originOf(location: string | undefined): string {
  return location !== undefined && URL.canParse(location) ? new URL(location).origin : 'a relative path';
}

/** We ask for no encoding, but a proxy in front of ZITADEL may compress anyway. @returns undefined if it cannot be decoded */
function decode(body: Buffer, encoding: string): string | undefined {
  if (/^identity$/i.test(encoding)) return body.toString();
  if (!/^(x-)?gzip$/i.test(encoding)) return undefined;
  try {
    return gunzipSync(body, { maxOutputLength: maxInflatedBytes }).toString();
  } catch {
    return undefined;
  }
}

/** @returns undefined if the text is not JSON: no schema accepts that */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * `Retry-After` is a number of seconds or a date (RFC 9110, section 10.2.3). `Date.parse` alone would accept almost anything as a date.
 *
 * @returns undefined if it is neither
 */
function secondsFrom(retryAfter = ''): number | undefined {
  if (/^\d{1,9}$/.test(retryAfter)) return Number(retryAfter);
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} [\d:]{8} GMT$/.test(retryAfter)) return undefined;
  const at = Date.parse(retryAfter);
  return Number.isNaN(at) ? undefined : Math.max(0, Math.ceil((at - Date.now()) / 1000));
}
