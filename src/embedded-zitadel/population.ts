const acme = '301000000000000001';
const globex = '302000000000000001';

const phone = (number: string, isVerified: boolean): EmbeddedPhone => ({ number, isVerified });

/** All users of a fresh embedded ZITADEL. With the tokens below, they can trigger each of its refusals. */
export const users = {
  unverified: {
    userId: '301000000000000101',
    description: 'has an unverified phone',
    organisation: acme,
    kind: 'human',
    state: 'active',
    phone: phone('+41791234567', false),
  },
  verified: {
    userId: '301000000000000102',
    description: 'has a verified phone',
    organisation: acme,
    kind: 'human',
    state: 'active',
    phone: phone('+41797654321', true),
  },
  phoneless: {
    userId: '301000000000000103',
    description: 'has no phone',
    organisation: acme,
    kind: 'human',
    state: 'active',
  },
  uninitialised: {
    userId: '301000000000000104',
    description: 'has never signed in',
    organisation: acme,
    kind: 'human',
    state: 'initial',
    phone: phone('+41765550104', false),
  },
  machine: {
    userId: '301000000000000105',
    description: 'is a machine',
    organisation: acme,
    kind: 'machine',
    state: 'active',
  },
  foreign: {
    userId: '302000000000000101',
    description: 'belongs to another organisation',
    organisation: globex,
    kind: 'human',
    state: 'active',
    phone: phone('+4915112345678', false),
  },
} as const satisfies Record<string, EmbeddedUser>;

export const tokens = {
  manager: {
    description: 'manages the organisation: may read its users and do anything with their phones',
    token: 'embedded-token-of-the-manager',
    userId: '301000000000000900',
    memberships: { [acme]: ['user.read', 'user.write'] },
  },
  self: {
    description: `is the user ${users.unverified.userId}: may read, set and remove their own phone, and have codes sent`,
    token: 'embedded-token-of-the-user',
    userId: users.unverified.userId,
    memberships: {},
  },
  member: {
    description: 'is a member with only user.read',
    token: 'embedded-token-of-a-reading-member',
    userId: '301000000000000901',
    memberships: { [acme]: ['user.read'] },
  },
  guest: {
    description: 'is a member without any permission',
    token: 'embedded-token-of-a-guest',
    userId: '301000000000000902',
    memberships: { [acme]: [] },
  },
  outsider: {
    description: 'manages another organisation',
    token: 'embedded-token-of-an-outsider',
    userId: '302000000000000900',
    memberships: { [globex]: ['user.read', 'user.write'] },
  },
  expired: {
    description: 'has expired',
    token: 'embedded-token-that-has-expired',
    userId: '301000000000000900',
    memberships: { [acme]: ['user.read', 'user.write'] },
    isExpired: true,
  },
} as const satisfies Record<string, EmbeddedToken>;

export interface EmbeddedUser {
  userId: string;
  description: string;
  organisation: string;
  kind: 'human' | 'machine';
  state: 'active' | 'inactive' | 'locked' | 'initial';
  phone?: EmbeddedPhone;
}

export interface EmbeddedPhone {
  number: string;
  isVerified: boolean;
}

export interface EmbeddedToken {
  description: string;
  token: string;
  /** The user that the token belongs to. */
  userId: string;
  /** Their permissions by organisation. They are not a member of organisations that are missing here. */
  memberships: Record<string, readonly string[]>;
  isExpired?: boolean;
}
