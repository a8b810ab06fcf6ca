import { randomInt } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { authenticate, isPermitted, requirePermission } from './callers.js';
import { listUsersRequest, readMessage, resendPhoneCodeRequest, userMessage } from './messages.js';
import { users, type EmbeddedPhone, type EmbeddedUser } from './population.js';
import { Refusal } from './refusal.js';

export interface Sms {
  userId: string;
  number: string;
  code: string;
}

const codeAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const codeLength = 6;
const codeLifetimeMs = 60 * 60 * 1000;
const defaultListLimit = 100;
const maxListLimit = 1000;

export interface UserServiceOptions {
  now: () => number;
  onSms: (sms: Sms) => void;
  /** People beside the population. */
  moreUsers: readonly EmbeddedUser[];
}

interface State extends EmbeddedUser {
  details: { sequence?: string; changeDate: string; creationDate: string; resourceOwner: string };
}

/** The state and the rules of ZITADEL's user service v2, as far as the contact phone goes. */
export class UserService {
  readonly outbox: Sms[] = [];
  /** Every code that was ever made, so that a test can look for one where none may be. */
  readonly codes: string[] = [];
  private readonly users: Map<string, State>;
  private sequence = 0n;

  constructor(private readonly options: UserServiceOptions) {
    const creationDate = this.moment();
    const all: EmbeddedUser[] = structuredClone([...Object.values(users), ...options.moreUsers]);
    this.users = new Map(
      all.map((user) => [
        user.userId,
        { ...user, details: { changeDate: creationDate, creationDate, resourceOwner: user.organisation } },
      ]),
    );
  }

  /** GetUserByID: whether the user exists comes before whether the caller may read him. */
  getUserById(headers: IncomingHttpHeaders, userId: string): object {
    const caller = authenticate(headers);
    checkUserIdLength(userId);
    const user = this.users.get(userId);
    if (!user) throw new Refusal(5, 'User could not be found', 'QUERY-Dfbg2');
    if (caller.userId !== userId) requirePermission(caller, user, 'user.read');
    return { details: user.details, user: userMessage(user) };
  }

  /** ListUsers, in the order of the ids; whom the caller may not read is silently left out. */
  listUsers(headers: IncomingHttpHeaders, body: unknown): object {
    const caller = authenticate(headers);
    const { query, queries } = readMessage(listUsersRequest, body);
    const limit = query.limit || defaultListLimit;
    if (limit > maxListLimit) throw new Refusal(3, 'Limit exceeds the maximum', 'QUERY-4M0fs');
    const wanted = queries.map(({ inUserIdsQuery }) => {
      if (!inUserIdsQuery) throw new Refusal(3, 'List query is invalid', 'GRPC-vR9nC');
      return new Set(inUserIdsQuery.userIds);
    });
    const found = [...this.users.values()]
      .filter(({ userId }) => wanted.every((ids) => ids.has(userId)))
      .sort((one, other) => (one.userId < other.userId === query.asc ? -1 : 1))
      .slice(0, limit)
      .filter((user) => caller.userId === user.userId || isPermitted(caller, user, 'user.read'));
    return {
      details: { ...(found.length > 0 && { totalResult: String(found.length) }), timestamp: this.moment() },
      ...(found.length > 0 && { result: found.map(userMessage) }),
    };
  }

  /** ResendPhoneCode; the refusals come in the order in which ZITADEL checks. */
  resendPhoneCode(headers: IncomingHttpHeaders, userId: string, body: unknown): object {
    const caller = authenticate(headers);
    const returnsCode = readMessage(resendPhoneCodeRequest, body).returnCode !== undefined;
    checkUserIdLength(userId);
    const user = this.users.get(userId);
    if (user?.kind !== 'human') throw new Refusal(5, 'Phone not found', 'COMMAND-ieJ2e');
    // A code that is returned proves nothing about the phone, so not even the user himself gets it without the permission.
    if (returnsCode || caller.userId !== userId) requirePermission(caller, user, 'user.write');
    if (user.state === 'initial') throw new Refusal(9, 'User is not yet initialised', 'COMMAND-uz0Uu');
    if (!user.phone || user.phone.isVerified) throw new Refusal(9, 'No code to resend', 'PHONE-5xrra88eq8');

    const code = this.renewCode(user.phone);
    if (returnsCode) return { ...this.change(user), verificationCode: code };
    this.send({ userId, number: user.phone.number, code });
    return this.change(user);
  }

  /** The code that would verify the user's phone now. */
  pendingCode(userId: string): string | undefined {
    const code = this.users.get(userId)?.phone?.code;
    return code && this.options.now() < code.expiresAt ? code.value : undefined;
  }

  private renewCode(phone: EmbeddedPhone): string {
    const value = Array.from({ length: codeLength }, () => codeAlphabet[randomInt(codeAlphabet.length)]).join('');
    phone.code = { value, expiresAt: this.options.now() + codeLifetimeMs };
    this.codes.push(value);
    return value;
  }

  private send(sms: Sms): void {
    this.outbox.push(sms);
    this.options.onSms(sms);
  }

  private change(user: State): object {
    this.sequence += 1n;
    user.details = { ...user.details, sequence: String(this.sequence), changeDate: this.moment() };
    return { details: user.details };
  }

  /** ZITADEL gives microseconds. */
  private moment(): string {
    return new Date(this.options.now()).toISOString().replace('Z', '042Z');
  }
}

function checkUserIdLength(userId: string): void {
  if (!/^.{1,200}$/su.test(userId))
    throw new Refusal(3, 'invalid UserId: value length must be between 1 and 200 runes');
}
