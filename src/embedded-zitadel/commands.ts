import { randomInt } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import { z } from 'zod';
import { authenticate, Refusal, requirePermission } from './callers.js';
import type { EmbeddedPhone } from './population.js';
import { checkUserIdLength, readMessage, type StoredUser, type UserStore } from './users.js';

const defaultRegion = 'CH';
const codeAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const codeLength = 6;
const codeLifetimeMs = 60 * 60 * 1000;

/** The phone commands of ZITADEL's user service v2, with its rules. Refusals come in the order of ZITADEL's own checks. */
export class PhoneCommands {
  readonly outbox: Sms[] = [];
  /** Every code that was ever created, so that tests can check that none leaks. */
  readonly codes: string[] = [];

  constructor(
    private readonly store: UserStore,
    private readonly onSms: (sms: Sms) => void,
  ) {}

  /** SetPhone. Not even users themselves may mark their phone as verified, or get the code that verifies it. */
  setPhone(headers: IncomingHttpHeaders, userId: string, body: unknown): object {
    const caller = authenticate(headers);
    const { phone, returnCode, isVerified } = readMessage(setPhoneRequest, body);
    const user = this.findHuman(userId);
    if (returnCode || isVerified || caller.userId !== userId) requirePermission(caller, user, 'user.write');
    const number = normalise(phone);
    if (number === user.phone?.number) throw new Refusal(9, 'Phone not changed', 'COMMAND-Uch5e');

    user.phone = { number, isVerified: isVerified === true };
    return isVerified ? this.store.change(user) : this.makeCode(user, user.phone, returnCode !== undefined);
  }

  /** ResendPhoneCode. A returned code proves nothing about the phone, so not even users themselves may get it. */
  resendPhoneCode(headers: IncomingHttpHeaders, userId: string, body: unknown): object {
    const caller = authenticate(headers);
    const { returnCode } = readMessage(resendPhoneCodeRequest, body);
    const user = this.findHuman(userId);
    if (returnCode || caller.userId !== userId) requirePermission(caller, user, 'user.write');
    if (!user.phone || user.phone.isVerified) throw new Refusal(9, 'No code to resend', 'PHONE-5xrra88eq8');
    return this.makeCode(user, user.phone, returnCode !== undefined);
  }

  /** VerifyPhone. Anyone with a token may call it. */
  verifyPhone(headers: IncomingHttpHeaders, userId: string, body: unknown): object {
    authenticate(headers);
    const { verificationCode } = readMessage(verifyPhoneRequest, body);
    const user = this.findHuman(userId);
    if (!user.phone || verificationCode !== this.pendingCode(userId)) {
      throw new Refusal(3, 'Code is invalid', 'COMMAND-eis9R');
    }
    user.phone = { number: user.phone.number, isVerified: true };
    return this.store.change(user);
  }

  /** RemovePhone. */
  removePhone(headers: IncomingHttpHeaders, userId: string): object {
    const caller = authenticate(headers);
    const user = this.findHuman(userId);
    requirePermission(caller, user, 'user.write');
    if (!user.phone) throw new Refusal(9, 'Phone not found', 'COMMAND-ieJ2e');
    delete user.phone;
    return this.store.change(user);
  }

  /** The code that would currently verify the user's phone. */
  pendingCode(userId: string): string | undefined {
    const code = this.store.get(userId)?.phone?.code;
    return code && this.store.now() < code.expiresAt ? code.value : undefined;
  }

  private findHuman(userId: string): StoredUser {
    checkUserIdLength(userId);
    const user = this.store.get(userId);
    if (user?.kind !== 'human') throw new Refusal(5, 'Phone not found', 'COMMAND-ieJ2e');
    if (user.state === 'initial') throw new Refusal(9, 'User is not yet initialised', 'COMMAND-uz0Uu');
    return user;
  }

  /** Replaces the previous code, and returns or sends the new one. */
  private makeCode(user: StoredUser, phone: EmbeddedPhone, isReturned: boolean): object {
    const code = Array.from({ length: codeLength }, () => codeAlphabet[randomInt(codeAlphabet.length)]).join('');
    phone.code = { value: code, expiresAt: this.store.now() + codeLifetimeMs };
    this.codes.push(code);
    const changed = this.store.change(user);
    if (isReturned) return { ...changed, verificationCode: code };

    const sms = { userId: user.userId, number: phone.number, code };
    this.outbox.push(sms);
    this.onSms(sms);
    return changed;
  }
}

/** Converts to E.164 without checking whether the number is valid: `0791234567` becomes a Swiss number. */
function normalise(phone: string): string {
  if (phone === '') throw new Refusal(3, 'Phone number is empty', 'PHONE-Zt0NV');
  const parsed = parsePhoneNumberFromString(phone, defaultRegion);
  if (!parsed) throw new Refusal(3, 'Phone number is invalid', 'PHONE-so0wa');
  return parsed.number;
}

/** At most one field of a oneof may be set. */
const atMostOne = (...fields: unknown[]) => fields.filter((field) => field !== undefined).length <= 1;

/** No mode set means "send" to ZITADEL. */
const resendPhoneCodeRequest = z
  .object({ sendCode: z.object({}).optional(), returnCode: z.object({}).optional() })
  .refine(({ sendCode, returnCode }) => atMostOne(sendCode, returnCode));

const setPhoneRequest = z
  .object({
    phone: z.string().max(200).default(''),
    sendCode: z.object({}).optional(),
    returnCode: z.object({}).optional(),
    isVerified: z.literal(true).optional(),
  })
  .refine(({ sendCode, returnCode, isVerified }) => atMostOne(sendCode, returnCode, isVerified));

const verifyPhoneRequest = z.object({ verificationCode: z.string().regex(/^.{1,20}$/su) });

export interface Sms {
  userId: string;
  number: string;
  code: string;
}
