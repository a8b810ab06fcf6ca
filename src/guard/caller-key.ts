import { hash } from 'node:crypto';

/** RFC 6750, section 2.1. */
const bearerToken = /^Bearer ([\w.~+/-]+=*)$/;

/**
 * Identifies a caller without storing their token: its SHA-256. Tokens are long and random, so the hash needs no key.
 *
 * One token must not pass for many callers. But ZITADEL also accepts a token after a word other than `Bearer` or with spaces in it, and
 * ignores the last bits of its Base64. So all callers with a nonstandard header count as one caller, and the hash is of the decoded Base64.
 */
export function callerKeyOf(authorization: string): string {
  const token = bearerToken.exec(authorization)?.[1] ?? '';
  const parts = token.split('.').map((part) => Buffer.from(part, 'base64url').toString('base64url'));
  return hash('sha256', parts.join('.'), 'base64url');
}
