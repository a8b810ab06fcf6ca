import type { CountryCode } from 'libphonenumber-js/max';
import { CodedError } from '../errors.js';
import { callerKeyOf } from '../guard/caller-key.js';
import { LimitReached } from '../guard/checkpoint.js';
import type { Guard } from '../guard/guard.js';
import type { RequestRecord } from '../telemetry/request-record.js';
import type { Deadline } from '../zitadel/deadline.js';
import type { PhoneChanged, PhoneCodeMade, PhoneCodeMode, SetPhoneMode, User } from '../zitadel/messages.js';
import type { ZitadelClient } from '../zitadel/zitadel-client.js';
import type { Caller } from '../zitadel/zitadel-connection.js';
import { outcomeOfGuess, outcomeOfSms, readError, writeError } from './contact-phone.errors.js';
import { checkUserId, readPhoneNumber, readVerificationCode } from './input.js';
import { checkSmsCountry } from './sms-countries.js';
import { createUserLoader, type UserLoader, type Users } from './user-loader.js';

/** ZITADEL's answer to a write plus the changed user, so that a client can select their fields. */
type Change<Answer extends PhoneChanged> = Answer & {
  user: { id: string; contactPhone: () => Promise<User['phone']> };
};

/** If an SMS was sent and there are limits: when they will allow another. Formatted only if selected. */
type PhoneCodeChange = PhoneCodeMade & { resendAvailableAt?: () => string | undefined };

/**
 * All operations on contact phones, on behalf of the caller of one request. One instance per request.
 * Every method throws CodedErrors that are safe to show to clients.
 */
export class ContactPhoneService {
  private users: UserLoader | undefined;
  private callerKey: string | undefined;

  /**
   * @param caller undefined if the request has no usable `Authorization`
   * @param smsCountries where SMS may be sent; all countries if empty
   */
  constructor(
    private readonly zitadel: ZitadelClient,
    private readonly guard: Guard,
    private readonly caller: Caller | undefined,
    private readonly smsCountries: readonly CountryCode[],
    private readonly record: RequestRecord,
  ) {}

  /** Reads the user's phone; null if they have none. */
  async read(userId: string): Promise<User['phone']> {
    const [phone] = await this.readAll([userId]);
    if (phone instanceof Error) throw phone;
    return phone ?? null;
  }

  /** Reads the phones of many users: for each one the phone, null if they have none, or the error if it could not be read. */
  async readAll(userIds: readonly string[]): Promise<(User['phone'] | Error)[]> {
    const refused = new Map<string, Error>();
    for (const userId of userIds) {
      try {
        this.admit(userId);
      } catch (error) {
        refused.set(userId, error as Error);
      }
    }
    const users = await this.load(userIds.filter((userId) => !refused.has(userId)));
    return userIds.map((userId) => {
      const user = refused.get(userId) ?? users.get(userId) ?? new CodedError({ code: 'NOT_FOUND' });
      return user instanceof Error ? user : user.phone;
    });
  }

  /** Sets or replaces the user's phone, and has ZITADEL send a code, return a code, or mark the phone as verified. */
  set(userId: string, number: unknown, mode: SetPhoneMode): Promise<Change<PhoneCodeChange>> {
    return this.write<PhoneCodeChange>(userId, (caller, deadline) => {
      const phone = readPhoneNumber(number);
      const set = () => this.zitadel.setPhone(caller, userId, phone, mode, deadline);
      if (mode !== 'SEND_CODE') return set();
      checkSmsCountry(this.smsCountries, phone, 'BAD_USER_INPUT');
      return this.sendSms(caller, userId, set);
    });
  }

  /** Has ZITADEL create a new code for the user's unverified phone, and send or return it. */
  resend(userId: string, mode: PhoneCodeMode): Promise<Change<PhoneCodeChange>> {
    return this.write<PhoneCodeChange>(userId, (caller, deadline) => {
      const resend = () => this.zitadel.resendPhoneCode(caller, userId, mode, deadline);
      if (mode !== 'SEND_CODE') return resend();
      return this.sendSms(caller, userId, async () => {
        if (this.smsCountries.length > 0) await this.checkCountry(caller, userId, deadline);
        return resend();
      });
    });
  }

  /** Verifies the user's phone with the code. */
  verify(userId: string, verificationCode: unknown): Promise<Change<PhoneChanged>> {
    return this.write(userId, async (caller, deadline) => {
      const code = readVerificationCode(verificationCode);
      const verify = () => this.zitadel.verifyPhone(caller, userId, code, deadline);
      const { answer } = await this.guard.guesses.pass(userId, this.keyOf(caller), verify, outcomeOfGuess);
      return answer;
    });
  }

  /** Removes the user's phone. */
  remove(userId: string): Promise<Change<PhoneChanged>> {
    return this.write(userId, (caller, deadline) => this.zitadel.removePhone(caller, userId, deadline));
  }

  /** What all writes share: one deadline for all calls, and the changed user in the result. */
  private async write<Answer extends PhoneChanged>(
    userId: string,
    call: (caller: Caller, deadline: Deadline) => Promise<Answer>,
  ): Promise<Change<Answer>> {
    const caller = this.admit(userId);
    // Nobody would see the result. An earlier write in the same document has completed.
    if (caller.isGone()) throw new CodedError({ code: 'FAILED_PRECONDITION' }, { message: 'The caller hung up.' });
    try {
      return Object.assign(await call(caller, this.zitadel.deadline()), {
        user: { id: userId, contactPhone: () => this.read(userId) },
      });
    } catch (error) {
      throw writeError(error);
    }
  }

  /** Makes a call that sends an SMS, if the limits allow it. */
  private async sendSms(caller: Caller, userId: string, call: () => Promise<PhoneCodeMade>): Promise<PhoneCodeChange> {
    try {
      const { answer, opensAt } = await this.guard.sms.pass(userId, this.keyOf(caller), call, outcomeOfSms);
      this.record.sms.push(outcomeOfSms());
      return Object.assign(answer, { resendAvailableAt: () => opensAt?.toISOString() });
    } catch (error) {
      this.record.sms.push(error instanceof LimitReached ? { limit: error.limit } : outcomeOfSms(error));
      throw error;
    }
  }

  private async checkCountry(caller: Caller, userId: string, deadline: Deadline): Promise<void> {
    try {
      const { phone } = await this.zitadel.getUserById(caller, userId, deadline);
      if (phone) checkSmsCountry(this.smsCountries, phone.number, 'FAILED_PRECONDITION');
    } catch (error) {
      throw readError(error);
    }
  }

  private async load(userIds: readonly string[]): Promise<Users> {
    if (!this.caller) return new Map();
    this.users ??= createUserLoader(this.zitadel, this.caller, this.record.batchSizes);
    return this.users.load(userIds);
  }

  private keyOf(caller: Caller): string {
    return (this.callerKey ??= callerKeyOf(caller.headers.authorization));
  }

  /** Rejects an anonymous caller or a bad id before any call. */
  private admit(userId: string): Caller {
    if (!this.caller) throw new CodedError({ code: 'UNAUTHENTICATED' });
    checkUserId(userId);
    this.record.userIds.add(userId);
    return this.caller;
  }
}
