import { hash } from 'node:crypto';
import * as z from 'zod';
import { Generations } from './generations.js';

/** The caller of a limited call, by their token. */
export interface Caller {
  /** A hash that identifies the token without storing it. */
  readonly tokenKey: string;
  /** The user that the token names, if it is a JWT. Not to be trusted until ZITADEL has accepted the token. */
  readonly subject: string | undefined;
  /** Whether they have hung up. */
  isGone(): boolean;
}

/** RFC 6750, section 2.1. */
const bearerToken = /^Bearer ([\w.~+/-]+=*)$/;

/**
 * Identifies a caller by the SHA-256 of their token. Tokens are long and random, so the hash needs no key.
 *
 * One token must not count as several callers. But ZITADEL also accepts it with spaces in it, after a word other than `Bearer`, or with
 * different unused bits at the end of its Base64. So all nonstandard headers count as one caller, and the hash covers the decoded Base64.
 */
export function callerOf(authorization: string, isGone: () => boolean): Caller {
  const token = bearerToken.exec(authorization)?.[1] ?? '';
  const parts = token.split('.').map((part) => Buffer.from(part, 'base64url'));
  const tokenKey = hash('sha256', parts.map((part) => part.toString('base64url')).join('.'), 'base64url');
  return { tokenKey, subject: parts.length === 3 ? subjectIn(parts[1]) : undefined, isGone };
}

const claims = z.object({ sub: z.string() });

/** The `sub` in the claims of a JWT: RFC 7519, section 4.1.2. */
function subjectIn(payload: Buffer | undefined): string | undefined {
  try {
    return claims.parse(JSON.parse(String(payload))).sub;
  } catch {
    return undefined;
  }
}

/** Call this only for a token that ZITADEL has accepted. All JWTs of one person have the same key, so they count as one caller. */
export function authenticKeyOf({ tokenKey, subject }: Caller): string {
  return subject === undefined ? tokenKey : `of ${subject}`;
}

/** Whether ZITADEL has accepted a caller's write for a user in the last day, or refused one with FORBIDDEN in the last minute. */
export type Rank = 'accepted' | 'unknown' | 'refused';

const acceptedMs = 24 * 60 * 60 * 1000;
const refusedMs = 60_000;
const maxKnown = 100_000;

/** Tracks which tokens and which writes ZITADEL has accepted or refused. */
export class KnownCallers {
  private readonly authenticated = new Generations<true>(acceptedMs, maxKnown);
  private readonly accepted = new Generations<true>(acceptedMs, maxKnown);
  /** The time of each refusal. */
  private readonly refused = new Generations<number>(refusedMs, maxKnown);

  /** Whether ZITADEL has accepted the caller's token. */
  isAuthenticated({ tokenKey }: Caller): boolean {
    return this.authenticated.get(tokenKey) !== undefined;
  }

  noteAuthenticated({ tokenKey }: Caller): void {
    this.authenticated.set(tokenKey, true);
  }

  rankOf(caller: Caller, userId: string): Rank {
    const key = keyOf(caller, userId);
    if (caller.subject === userId || this.accepted.get(key)) return 'accepted';
    return performance.now() - (this.refused.get(key) ?? -Infinity) < refusedMs ? 'refused' : 'unknown';
  }

  noteAccepted(caller: Caller, userId: string): void {
    this.accepted.set(keyOf(caller, userId), true);
  }

  noteRefused(caller: Caller, userId: string): void {
    this.accepted.delete(keyOf(caller, userId));
    this.refused.set(keyOf(caller, userId), performance.now());
  }
}

function keyOf(caller: Caller, userId: string): string {
  return `${authenticKeyOf(caller)} ${userId}`;
}
