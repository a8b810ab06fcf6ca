import { gunzipSync } from 'node:zlib';
import * as z from 'zod';
import type { FailedCall, Rpc } from '../failure.js';
import { failedCall } from '../failures.js';
import type { UpstreamAnswer } from './exchange.js';
import type { ZitadelApi } from './rest.js';

/** ZITADEL's ids have about 15 characters. A client may get one for each of thousands of users. */
export const maxErrorIdLength = 40;

/** The id reaches logs and clients, so its format is strict. Details of other types are passed through unchanged. */
const zitadelDetail = z.object({
  '@type': z.string().startsWith('type.googleapis.com/zitadel.'),
  id: z
    .string()
    .max(maxErrorIdLength)
    .regex(/^[\w-]+$/),
});

/** A client may get these thousands of times in one answer, once for each user in a list. Real messages have about 130 characters. */
const maxMessageLength = 300;
const maxDetailsLength = 1_000;
/** The details of a longer error may be nested too deeply to become JSON again. */
const maxErrorLength = 10_000;

const maxNoteLength = 300;

const maxInflatedBytes = 1024 * 1024;

/**
 * Parses an answer as the expected response.
 *
 * @param secrets parts of the request that must not reach a log; called only to clean a note that is logged
 * @throws {Failure} `rejected` with ZITADEL's own error; `foreign` if something else answered; `malformed` if the JSON does not have the
 * expected shape
 */
export function parseAnswer<T>(
  rpc: Rpc,
  response: z.ZodType<T>,
  { httpStatus, headers, body }: UpstreamAnswer,
  readError: ZitadelApi['readError'],
  secrets: () => readonly string[] = () => [],
): T {
  const retryAfter = secondsFrom(headers['retry-after']);
  const fail = (kind: FailedCall['kind'], note?: string, known: Partial<FailedCall> = {}) => {
    const answer = { httpStatus, ...(retryAfter !== undefined && { retryAfter }), ...known };
    return failedCall({ rpc, kind, sent: true, ...answer }, undefined, () => note && operatorNote(note, secrets()));
  };

  const { location, 'content-type': contentType = 'none', 'content-encoding': encoding = 'identity' } = headers;
  if (httpStatus >= 300 && httpStatus < 400) throw fail('foreign', `redirect to ${originOf(location)}`);
  if (!isJson(contentType)) throw fail('foreign', `content type ${contentType}`);
  const text = decode(body, encoding);
  if (text === undefined) throw fail('malformed', `content encoding ${encoding}`);

  const json = parseJson(text);
  if (httpStatus >= 200 && httpStatus < 300) {
    const { data, error } = response.safeParse(json);
    if (error) throw fail('malformed', differencesIn(error));
    return data;
  }
  if (json === undefined) throw fail('malformed', 'not JSON');
  const error = readError(json);
  if (!error) throw fail('foreign', 'JSON without a google.rpc.Code');
  const { code, message, details } = error;
  const id = details?.map((detail) => zitadelDetail.safeParse(detail).data?.id).find((found) => found !== undefined);
  throw fail('rejected', message ?? undefined, {
    code,
    ...(id !== undefined && { id }),
    ...(message != null && { message: message.slice(0, maxMessageLength) }),
    ...(details && text.length <= maxErrorLength && JSON.stringify(details).length <= maxDetailsLength && { details }),
  });
}

function isJson(contentType: string): boolean {
  return /^application\/([^;\s]+\+)?json\s*(;|$)/i.test(contentType);
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

/** Each field that has another shape than expected. Zod's messages do not quote values. */
function differencesIn({ issues }: z.ZodError): string {
  return issues.map(({ path, message }) => `${path.join('.') || 'the answer'}: ${message}`).join('; ');
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

/** A resend does not contain the user's number, but the SMS provider may quote it. */
const phoneNumber = /(?:\+|%2B)\d(?:[\s().-]*\d){6,}/gi;

/**
 * Makes text from an answer safe for the log: one line, without this request's secrets, and without phone numbers. ZITADEL quotes its
 * input, as in `invalid value for string field phone: …`.
 *
 * @param secrets the request's token, code and phone number
 */
function operatorNote(text: string, secrets: readonly string[]): string {
  // Must happen before the text is cut, or half a secret could remain.
  const withoutSecrets = secrets.flatMap(spellingsOf).reduce((rest, secret) => rest.replaceAll(secret, '…'), text);
  return withoutSecrets
    .replace(phoneNumber, '…')
    .slice(0, maxNoteLength)
    .replace(/[\p{C}\p{Zl}\p{Zp}]/gu, escape)
    .slice(0, maxNoteLength);
}

/** As it was sent, as it appears in a quoted string, and without the `+` of a phone number. */
function spellingsOf(secret: string): string[] {
  const quoted = JSON.stringify(secret).slice(1, -1);
  return [secret, quoted, secret.replace(/^\+/, '')].filter((spelling) => spelling !== '');
}

function escape(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
