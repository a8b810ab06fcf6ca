import { hash } from 'node:crypto';

/** RFC 6750, section 2.1. */
const bearerToken = /^Bearer ([\w.~+/-]+=*)$/;

/**
 * Stands for a caller where no token may stand: the SHA-256 of his token, which is long and random, so that it needs no key.
 *
 * One token must not pass for many callers. But ZITADEL also takes it behind other words and with spaces in it, and drops the last bits
 * of its Base64. So whoever does not write it as the standard has it is one and the same caller with all who do not; and what is hashed
 * is what the Base64 stands for.
 */
export function callerKeyOf(authorization: string): string {
  const token = bearerToken.exec(authorization)?.[1] ?? '';
  const parts = token.split('.').map((part) => Buffer.from(part, 'base64url').toString('base64url'));
  return hash('sha256', parts.join('.'), 'base64url');
}
