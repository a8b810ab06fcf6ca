import { randomInt } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { tokens, users, type EmbeddedPhone, type EmbeddedToken, type EmbeddedUser } from './population.js';
import { Refusal } from './refusal.js';

export interface Sms {
  userId: string;
  number: string;
  code: string;
}

const codeAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const codeLength = 6;
const codeLifetimeMs = 60 * 60 * 1000;

/** The state and the rules of ZITADEL's user service v2, as far as the contact phone goes. */
export class UserService {
  readonly outbox: Sms[] = [];
  /** Every code that was ever made, so that a test can look for one where none may be. */
  readonly codes: string[] = [];
  private readonly users = new Map<string, EmbeddedUser>(
    Object.values(structuredClone(users)).map((user) => [user.userId, user]),
  );
  private readonly tokens = new Map<string, EmbeddedToken>(Object.values(tokens).map((token) => [token.token, token]));
  private sequence = 0n;

  constructor(
    private readonly now: () => number,
    private readonly onSms: (sms: Sms) => void,
  ) {}

  /** ResendPhoneCode; the refusals come in the order in which ZITADEL checks. */
  resendPhoneCode(headers: IncomingHttpHeaders, userId: string, body: unknown): object {
    const caller = this.authenticate(headers);
    const returnsCode = isReturnCode(body);
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
    return code && this.now() < code.expiresAt ? code.value : undefined;
  }

  private authenticate({ authorization, 'x-zitadel-orgid': organisation }: IncomingHttpHeaders): EmbeddedToken {
    if (!authorization) throw new Refusal(16, 'auth header missing');
    const [scheme, token = ''] = authorization.split(' ');
    if (scheme !== 'Bearer') throw new Refusal(16, 'Invalid token', 'AUTH-toLo1');
    const caller = this.tokens.get(token);
    if (!caller || caller.isExpired) throw new Refusal(16, 'Errors.Token.Invalid', 'AUTH-7fs1e');
    if (organisation !== undefined && !(String(organisation) in caller.memberships)) {
      throw new Refusal(7, "Organisation doesn't exist", 'AUTH-Bs7Ds');
    }
    return caller;
  }

  private renewCode(phone: EmbeddedPhone): string {
    const value = Array.from({ length: codeLength }, () => codeAlphabet[randomInt(codeAlphabet.length)]).join('');
    phone.code = { value, expiresAt: this.now() + codeLifetimeMs };
    this.codes.push(value);
    return value;
  }

  private send(sms: Sms): void {
    this.outbox.push(sms);
    this.onSms(sms);
  }

  private change(user: EmbeddedUser): object {
    this.sequence += 1n;
    return {
      details: {
        sequence: String(this.sequence),
        changeDate: new Date(this.now()).toISOString().replace('Z', '042Z'), // ZITADEL gives microseconds
        resourceOwner: user.organisation,
      },
    };
  }
}

/** A oneof in proto3 JSON: none set means "send" to ZITADEL, unknown fields are dropped, and two at once cannot be decoded. */
function isReturnCode(body: unknown): boolean {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) throw new Refusal(3, 'proto: syntax error');
  if ('sendCode' in body && 'returnCode' in body) throw new Refusal(3, 'proto: oneof is already set');
  return 'returnCode' in body;
}

function checkUserIdLength(userId: string): void {
  if (!/^.{1,200}$/su.test(userId))
    throw new Refusal(3, 'invalid UserId: value length must be between 1 and 200 runes');
}

function requirePermission(caller: EmbeddedToken, user: EmbeddedUser, permission: string): void {
  const permissions = caller.memberships[user.organisation];
  if (!permissions) throw new Refusal(5, 'membership not found', 'AUTHZ-cdgFk');
  if (!permissions.includes(permission)) throw new Refusal(7, 'No matching permissions found', 'AUTH-AWfge');
}
