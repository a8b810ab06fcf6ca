import { randomInt } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import { Refusal, type Sms } from './answers.js';
import type { EmbeddedToken } from './population.js';
import type { Requests, Rpc } from './routes.js';
import {
  detailsInReads,
  isPermitted,
  requirePermission,
  userMessage,
  type StoredUser,
  type UserStore,
} from './users.js';

const defaultRegion = 'CH';
const codeAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const codeLength = 6;
const codeLifetimeMs = 60 * 60 * 1000;

type Rpcs = { [R in Rpc]: (caller: EmbeddedToken, request: Requests[R]) => object };

/** The part of ZITADEL's user service v2 that reads users and changes their phones, with the same checks in the same order. */
export class UserService implements Rpcs {
  readonly outbox: Sms[] = [];
  /** Every code that was ever created, so that tests can check that none leaks. */
  readonly codes: string[] = [];

  constructor(
    private readonly store: UserStore,
    private readonly onSms: (sms: Sms) => void,
  ) {}

  /**
   * Carries out an RPC as the caller whose token is in the headers.
   *
   * @throws {Refusal}
   */
  call(rpc: Rpc, headers: IncomingHttpHeaders, request: Requests[Rpc]): object {
    const carryOut = this[rpc].bind(this) as (caller: EmbeddedToken, request: Requests[Rpc]) => object;
    return carryOut(this.store.authenticate(headers), request);
  }

  /** Checks that the user exists before it checks the permission. */
  GetUserByID(caller: EmbeddedToken, { userId }: Requests['GetUserByID']): object {
    requireLength('GetUserByIDRequest.UserId', userId);
    const user = this.store.get(userId);
    if (!user) throw new Refusal(5, 'User could not be found', 'QUERY-Dfbg2');
    if (caller.userId !== userId) requirePermission(caller, user, 'user.read');
    return { details: detailsInReads(user), user: userMessage(user) };
  }

  /** Sorts by id. Silently omits users that the caller may not read, before it counts and limits. */
  ListUsers(caller: EmbeddedToken, { query, queries }: Requests['ListUsers']): object {
    const wanted = queries.map(({ inUserIdsQuery }, index) => {
      if (inUserIdsQuery) return new Set(inUserIdsQuery.userIds);
      const reason = 'embedded message failed validation | caused by: invalid SearchQuery.Query: value is required';
      throw new Refusal(3, `invalid ListUsersRequest.Queries[${index}]: ${reason}`);
    });
    if (wanted.some((ids) => ids.size === 0)) throw new Refusal(2, 'values array must not be empty', '');
    if (wanted.some((ids) => [...ids].some((id) => id.includes('\0')))) {
      throw new Refusal(13, 'An internal error occurred', 'QUERY-AG4gs');
    }
    const found = this.store
      .all()
      .filter(({ userId }) => wanted.every((ids) => ids.has(userId)))
      .filter((user) => caller.userId === user.userId || isPermitted(caller, user, 'user.read'))
      .sort((one, other) => (one.userId < other.userId === query.asc ? -1 : 1));
    const details = { timestamp: this.store.moment() };
    if (found.length === 0) return { details };
    const result = found.slice(0, query.limit || found.length).map(userMessage);
    return { details: { totalResult: String(found.length), ...details }, result };
  }

  /** Not even users themselves may mark their phone as verified, or get the code that verifies it. */
  SetPhone(caller: EmbeddedToken, { userId, phone, returnCode, isVerified }: Requests['SetPhone']): object {
    requireLength('SetPhoneRequest.UserId', userId);
    requireLength('SetPhoneRequest.Phone', phone);
    if (isVerified === false) throw new Refusal(3, 'invalid SetPhoneRequest.IsVerified: value must equal true');
    const user = this.findHuman(userId);
    if (returnCode || isVerified || caller.userId !== userId) requirePermission(caller, user, 'user.write');
    const number = normalise(phone);
    if (number === user.phone?.number) throw new Refusal(9, 'Phone not changed', 'COMMAND-Uch5e');

    user.phone = { number, isVerified: isVerified === true };
    if (!isVerified) return this.makeCode(user, returnCode !== undefined);
    user.code = undefined;
    return this.store.change(user);
  }

  /**
   * A returned code proves nothing about the phone, so not even users themselves may get it. Requires an earlier code, but no phone: see
   * `Sms.number`.
   */
  ResendPhoneCode(caller: EmbeddedToken, { userId, returnCode }: Requests['ResendPhoneCode']): object {
    requireLength('ResendPhoneCodeRequest.UserId', userId);
    const user = this.findHuman(userId);
    if (returnCode || caller.userId !== userId) requirePermission(caller, user, 'user.write');
    if (!user.code) throw new Refusal(9, 'Code is empty', 'PHONE-5xrra88eq8');
    return this.makeCode(user, returnCode !== undefined);
  }

  /** Requires no permission, and no phone. */
  VerifyPhone(_: EmbeddedToken, { userId, verificationCode }: Requests['VerifyPhone']): object {
    requireLength('VerifyPhoneRequest.UserId', userId);
    requireLength('VerifyPhoneRequest.VerificationCode', verificationCode, 20);
    const user = this.findHuman(userId);
    if (verificationCode !== this.pendingCode(userId)) throw new Refusal(3, 'Code is invalid', 'COMMAND-eis9R');
    user.phone = { number: user.phone?.number ?? '', isVerified: true };
    user.code = undefined;
    return this.store.change(user);
  }

  /** Does not remove the code. */
  RemovePhone(caller: EmbeddedToken, { userId }: Requests['RemovePhone']): object {
    requireLength('RemovePhoneRequest.UserId', userId);
    const user = this.findHuman(userId);
    if (caller.userId !== userId) requirePermission(caller, user, 'user.write');
    if (!user.phone?.number) throw new Refusal(9, 'Phone not found', 'COMMAND-ieJ2e');
    delete user.phone;
    return this.store.change(user);
  }

  /** The code that would currently verify the user's phone. */
  pendingCode(userId: string): string | undefined {
    const code = this.store.get(userId)?.code;
    return code && this.store.now() < code.expiresAt ? code.value : undefined;
  }

  private findHuman(userId: string): StoredUser {
    const user = this.store.get(userId);
    if (user?.kind !== 'human') throw new Refusal(5, 'Phone not found', 'COMMAND-ieJ2e');
    if (user.state === 'initial') throw new Refusal(9, 'User is not yet initialized', 'COMMAND-uz0Uu');
    return user;
  }

  /** Replaces the previous code, and returns or sends the new one. */
  private makeCode(user: StoredUser, isReturned: boolean): object {
    const code = Array.from({ length: codeLength }, () => codeAlphabet[randomInt(codeAlphabet.length)]).join('');
    user.code = { value: code, expiresAt: this.store.now() + codeLifetimeMs };
    this.codes.push(code);
    const changed = this.store.change(user);
    if (isReturned) return { ...changed, verificationCode: code };

    const sms = { userId: user.userId, number: user.phone?.number ?? '', code };
    this.outbox.push(sms);
    this.onSms(sms);
    return changed;
  }
}

function requireLength(field: string, text: string, max = 200): void {
  if (new RegExp(`^.{1,${max}}$`, 'su').test(text)) return;
  throw new Refusal(3, `invalid ${field}: value length must be between 1 and ${max} runes, inclusive`);
}

/** Converts to E.164 without checking whether the number is valid: `0791234567` becomes a Swiss number. */
function normalise(phone: string): string {
  const parsed = parsePhoneNumberFromString(phone, defaultRegion);
  if (!parsed) throw new Refusal(3, 'Phone is invalid', 'PHONE-so0wa');
  return parsed.number;
}
