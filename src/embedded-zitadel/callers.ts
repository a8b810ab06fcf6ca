import type { IncomingHttpHeaders } from 'node:http';
import { tokens, type EmbeddedToken, type EmbeddedUser } from './population.js';

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
