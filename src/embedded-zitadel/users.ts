import type { IncomingHttpHeaders } from 'node:http';
import { Refusal } from './answers.js';
import { tokens, users, type EmbeddedToken, type EmbeddedUser } from './population.js';

/** The current state of all users, and who may do what to them. */
export class UserStore {
  private readonly users: Map<string, StoredUser>;
  private readonly callersByToken: Map<string, EmbeddedToken>;
  private readonly organisations: Set<string>;

  constructor(
    readonly now: () => number,
    more: { users: readonly EmbeddedUser[]; tokens: readonly EmbeddedToken[] },
  ) {
    const creationDate = this.moment();
    const all: EmbeddedUser[] = structuredClone([...Object.values(users), ...more.users]);
    this.users = new Map(
      all.map((user) => [
        user.userId,
        {
          ...user,
          // Created with the phone, and expired.
          code: user.phone && !user.phone.isVerified ? { value: 'L0NG4G', expiresAt: 0 } : undefined,
          creationDate,
          details: { sequence: '1', changeDate: creationDate, resourceOwner: user.organisation },
        },
      ]),
    );
    this.callersByToken = new Map([...Object.values(tokens), ...more.tokens].map((token) => [token.token, token]));
    this.organisations = new Set(all.map(({ organisation }) => organisation));
  }

  get(userId: string): StoredUser | undefined {
    return this.users.get(userId);
  }

  all(): StoredUser[] {
    return [...this.users.values()];
  }

  /** Records a change to the user, and returns it: ZITADEL's answer to most writes. */
  change(user: StoredUser): { details: object } {
    const sequence = String(BigInt(user.details.sequence) + 1n);
    user.details = { ...user.details, sequence, changeDate: this.moment() };
    return { details: user.details };
  }

  /** With microseconds, as in ZITADEL. */
  moment(): string {
    return new Date(this.now()).toISOString().replace('Z', '042Z');
  }

  /**
   * Identifies the caller by the token: whatever follows `Bearer `, regardless of what precedes it.
   *
   * @throws {Refusal}
   */
  authenticate({ authorization, 'x-zitadel-orgid': organisation }: IncomingHttpHeaders): EmbeddedToken {
    if (!authorization) throw new Refusal(16, 'auth header missing');
    const [, token, ...more] = authorization.split('Bearer ');
    if (token === undefined || more.length > 0) throw new Refusal(16, 'invalid auth header', 'AUTH-toLo1');
    const caller = this.callersByToken.get(token.trim());
    if (!caller || caller.isExpired) throw new Refusal(16, 'Errors.Token.Invalid', 'AUTH-7fs1e');
    if (organisation && !this.organisations.has(String(organisation))) {
      throw new Refusal(7, "Organisation doesn't exist", 'AUTH-Bs7Ds');
    }
    return caller;
  }
}

/** @throws {Refusal} */
export function requirePermission(caller: EmbeddedToken, user: EmbeddedUser, permission: string): void {
  if (isPermitted(caller, user, permission)) return;
  const isMember = user.organisation in caller.memberships;
  if (!isMember) throw new Refusal(5, 'membership not found', 'AUTHZ-cdgFk');
  throw new Refusal(7, 'No matching permissions found', 'AUTH-AWfge');
}

export function isPermitted(caller: EmbeddedToken, user: EmbeddedUser, permission: string): boolean {
  return caller.memberships[user.organisation]?.includes(permission) ?? false;
}

export interface StoredUser extends EmbeddedUser {
  /** The most recent code; undefined once it is used. It outlives its phone. */
  code: { value: string; expiresAt: number } | undefined;
  creationDate: string;
  details: { sequence: string; changeDate: string; resourceOwner: string };
}

/** Only reads contain the creation date. */
export const detailsInReads = ({ details, creationDate }: StoredUser): object => ({ ...details, creationDate });

/** A user in ZITADEL's JSON: without zero values, except for the optional `nickName`. */
export function userMessage(user: StoredUser): object {
  const { userId, state, description, kind } = user;
  const username = `user-${userId}`;
  return {
    userId,
    details: detailsInReads(user),
    state: `USER_STATE_${state.toUpperCase()}`,
    username,
    loginNames: [username],
    preferredLoginName: username,
    ...(kind === 'machine'
      ? { machine: { name: username, ...(description && { description }) } }
      : { human: human(user) }),
  };
}

function human({ userId, description, state, phone }: StoredUser): object {
  const name = { givenName: 'Someone', familyName: `who ${description}` };
  return {
    profile: {
      ...name,
      nickName: '',
      displayName: `${name.givenName} ${name.familyName}`,
      preferredLanguage: 'und',
      gender: 'GENDER_UNSPECIFIED',
    },
    email: { email: `user-${userId}@example.com`, ...(state !== 'initial' && { isVerified: true }) },
    // A human without a phone has an empty one. A code from before a removal can even verify it.
    phone: { ...(phone?.number && { phone: phone.number }), ...(phone?.isVerified && { isVerified: true }) },
  };
}
