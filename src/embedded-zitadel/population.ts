import type { IncomingHttpHeaders } from 'node:http';

// Everyone in the embedded ZITADEL: users, callers with their tokens and permissions, and the refusal of a caller who asks for more.

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
    description: `is the user ${users.unverified.userId}: may read and set their own phone, and have codes sent`,
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

const callersByToken = new Map<string, EmbeddedToken>(Object.values(tokens).map((token) => [token.token, token]));

/** Identifies the caller by the token: whatever follows `Bearer `, regardless of what precedes it. */
export function authenticate({ authorization, 'x-zitadel-orgid': organisation }: IncomingHttpHeaders): EmbeddedToken {
  if (!authorization) throw new Refusal(16, 'auth header missing');
  const [, token, ...more] = authorization.split('Bearer ');
  if (token === undefined || more.length > 0) throw new Refusal(16, 'Invalid token', 'AUTH-toLo1');
  const caller = callersByToken.get(token);
  if (!caller || caller.isExpired) throw new Refusal(16, 'Errors.Token.Invalid', 'AUTH-7fs1e');
  if (organisation !== undefined && !(String(organisation) in caller.memberships)) {
    throw new Refusal(7, "Organisation doesn't exist", 'AUTH-Bs7Ds');
  }
  return caller;
}

export function requirePermission(caller: EmbeddedToken, user: EmbeddedUser, permission: string): void {
  if (isPermitted(caller, user, permission)) return;
  const isMember = user.organisation in caller.memberships;
  if (!isMember) throw new Refusal(5, 'membership not found', 'AUTHZ-cdgFk');
  throw new Refusal(7, 'No matching permissions found', 'AUTH-AWfge');
}

export function isPermitted(caller: EmbeddedToken, user: EmbeddedUser, permission: string): boolean {
  return caller.memberships[user.organisation]?.includes(permission) ?? false;
}

export interface EmbeddedUser {
  userId: string;
  description: string;
  organisation: string;
  kind: 'human' | 'machine';
  state: 'active' | 'initial';
  phone?: EmbeddedPhone;
}

export interface EmbeddedPhone {
  number: string;
  isVerified: boolean;
  /** The most recent code; undefined once it is used. */
  code?: { value: string; expiresAt: number };
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

/** ZITADEL's codes and the HTTP statuses that its REST gateway gives them. */
const httpStatusOf = {
  3: 400,
  5: 404,
  7: 403,
  9: 400,
  12: 405,
  13: 500,
  16: 401,
} as const;

/** A google.rpc.Status in ZITADEL's form: with its id in both the message and a detail, or in neither. */
export class Refusal extends Error {
  constructor(
    readonly code: keyof typeof httpStatusOf,
    readonly text: string,
    readonly id?: string,
  ) {
    super(id === undefined ? text : `${text} (${id})`);
  }

  get httpStatus(): number {
    return httpStatusOf[this.code];
  }

  get body(): object {
    if (this.id === undefined) return { code: this.code, message: this.message };
    const detail = { '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id: this.id, message: this.text };
    return { code: this.code, message: this.message, details: [detail] };
  }
}
