import { users, type EmbeddedUser } from '../../src/embedded-zitadel/population.js';

/** This many more users in the manager's organisation, each with their own number. */
export function crowd(count: number): (EmbeddedUser & { phone: { number: string; isVerified: boolean } })[] {
  return Array.from({ length: count }, (_, index) => ({
    userId: String(400_000_000_000_000_000n + BigInt(index)),
    description: 'is one of many',
    organisation: users.unverified.organisation,
    kind: 'human',
    state: 'active',
    phone: { number: `+4179100${String(index).padStart(4, '0')}`, isVerified: index % 2 === 0 },
  }));
}
