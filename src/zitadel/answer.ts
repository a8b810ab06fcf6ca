import { z } from 'zod';
import type { UpstreamAnswer } from './exchange.js';
import { ZitadelError } from './zitadel-error.js';

/** google.rpc.Status. Details of a type that no one here knows must not break anything: they are carried as they came. */
const rpcStatus = z.object({
  code: z.int().nullish(),
  message: z.string().nullish(),
  details: z.array(z.unknown()).nullish(),
});

const zitadelDetail = z.object({
  '@type': z.string().startsWith('type.googleapis.com/zitadel.'),
  id: z.string().min(1),
});

/**
 * Reads an answer as the response it should be.
 *
 * @throws {ZitadelError} `rejected` with what ZITADEL said; `foreign` if it was not ZITADEL that answered; `malformed` if the JSON
 * is not what was promised
 */
export function parseAnswer<T>(operation: string, response: z.ZodType<T>, answer: UpstreamAnswer): T {
  const { httpStatus, headers } = answer;
  const facts = () => ({ sent: true, httpStatus, retryAfter: secondsFrom(headers['retry-after']) });
  const isRedirect = httpStatus >= 300 && httpStatus < 400;
  if (isRedirect || !isJson(headers['content-type'])) throw new ZitadelError(operation, 'foreign', facts());

  const body = parseJson(answer.body);
  const read = <S>(shape: z.ZodType<S>): S => {
    const parsed = shape.safeParse(body);
    if (parsed.success) return parsed.data;
    throw new ZitadelError(operation, 'malformed', facts(), parsed.error);
  };
  if (httpStatus >= 200 && httpStatus < 300) return read(response);

  const { code, message, details } = read(rpcStatus);
  const id = details?.map((detail) => zitadelDetail.safeParse(detail).data?.id).find((found) => found !== undefined);
  throw new ZitadelError(operation, 'rejected', {
    ...facts(),
    id,
    code: code ?? undefined,
    zitadelMessage: message ?? undefined,
    details: details ?? undefined,
  });
}

function isJson(contentType: string | undefined): boolean {
  return contentType === 'application/json' || /^application\/([^;\s]+\+)?json\s*(;|$)/i.test(contentType ?? '');
}

/** undefined for what is not JSON, which no shape accepts. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `Retry-After` is a number of seconds or a date, RFC 9110, section 10.2.3; `Date.parse` alone would take anything for a date. */
function secondsFrom(retryAfter = ''): number | undefined {
  if (/^\d{1,9}$/.test(retryAfter)) return Number(retryAfter);
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} [\d:]{8} GMT$/.test(retryAfter)) return undefined;
  return Math.max(0, Math.ceil((Date.parse(retryAfter) - Date.now()) / 1000));
}
