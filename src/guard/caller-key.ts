import { hash } from 'node:crypto';

/**
 * Stands for a caller where no token may stand: the SHA-256 of his token, which is long and random, so that it needs no key.
 *
 * ZITADEL takes for the token whatever follows `Bearer `, and does not look at what precedes it; so must we, or one caller could pass
 * for many.
 */
export function callerKeyOf(authorization: string): string {
  return hash('sha256', authorization.split('Bearer ').at(-1) ?? '', 'base64url');
}
