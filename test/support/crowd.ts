import { users, type EmbeddedToken, type EmbeddedUser } from '../../src/embedded-zitadel/population.js';

const { organisation } = users.unverified;

/** This many more users in the manager's organisation, each with their own number. */
export function crowd(count: number): (EmbeddedUser & { phone: { number: string; isVerified: boolean } })[] {
  return Array.from({ length: count }, (_, index) => ({
    userId: String(400_000_000_000_000_000n + BigInt(index)),
    description: 'is one of many',
    organisation,
    kind: 'human',
    state: 'active',
    phone: { number: `+4179100${String(index).padStart(4, '0')}`, isVerified: index % 2 === 0 },
  }));
}

interface TokenOptions {
  /** The user they belong to; by default, each belongs to another one. */
  userId?: string;
  /** In the organisation of the unverified user. */
  may?: readonly ('user.read' | 'user.write')[];
  /** JWTs name their user, opaque tokens do not. */
  isJwt?: boolean;
}

let made = 0;

/** More tokens, all different. */
export function moreTokens(count: number, { userId, may = [], isJwt = false }: TokenOptions = {}): EmbeddedToken[] {
  return Array.from({ length: count }, () => {
    made += 1;
    const ofUser = userId ?? String(600_000_000_000_000_000n + BigInt(made));
    // The length is a multiple of four: tokens that differ only in the unused bits at the end of their Base64 are the same.
    const secret = `S3CR3T-${String(made).padStart(5, '0')}`;
    const claims = [{ alg: 'RS256' }, { sub: ofUser }].map((part) => Buffer.from(JSON.stringify(part)));
    const jwt = [...claims.map((part) => part.toString('base64url')), secret].join('.');
    return {
      description: 'is one of many',
      token: isJwt ? jwt : secret,
      userId: ofUser,
      memberships: may.length > 0 ? { [organisation]: may } : {},
    };
  });
}
