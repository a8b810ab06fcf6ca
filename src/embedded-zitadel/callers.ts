import type { IncomingHttpHeaders } from 'node:http';
import { tokens, type EmbeddedToken, type EmbeddedUser } from './population.js';
import { Refusal } from './refusal.js';

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
