import type { CountryCode } from 'libphonenumber-js/max';
import { CodedError } from '../errors.js';
import type { PhoneChanged, PhoneCodeMade, PhoneCodeMode, SetPhoneMode, User } from '../zitadel/messages.js';
import type { ZitadelClient } from '../zitadel/zitadel-client.js';
import type { Caller } from '../zitadel/zitadel-connection.js';
import { writeError } from './contact-phone.errors.js';
import { checkUserId, readPhoneNumber, readVerificationCode } from './input.js';
import { checkSmsCountry } from './sms-countries.js';
import { createUserLoader, type UserLoader } from './user-loader.js';

/** What a write gives back beside ZITADEL's answer: whom it changed, so that a client can read on. */
type Change<Answer extends PhoneChanged> = Answer & { user: { id: string } };

/**
 * The journey of a contact phone, on behalf of the caller of one request; it dies with the request, and what it has read with it.
 * Every method throws a CodedError that a client may see.
 */
export class ContactPhoneService {
  private users: UserLoader | undefined;

  /**
   * @param caller undefined when the request carries no `Authorization`
   * @param smsCountries where SMS may be sent; all countries if empty
   */
  constructor(
    private readonly zitadel: ZitadelClient,
    private readonly caller: Caller | undefined,
    private readonly smsCountries: readonly CountryCode[],
  ) {}

  /** Reads the user's phone; null if he has none. */
  async read(userId: string): Promise<User['phone']> {
    const caller = this.admit(userId);
    this.users ??= createUserLoader(this.zitadel, caller);
    const { phone } = await this.users.load(userId);
    return phone;
  }

  /** Sets the user's phone, in place of the one before, and has a code for it sent or returned, or has it marked as verified. */
  set(userId: string, number: unknown, mode: SetPhoneMode): Promise<Change<PhoneCodeMade>> {
    return this.write(userId, (caller) => {
      const phone = readPhoneNumber(number);
      if (mode === 'SEND_CODE') checkSmsCountry(this.smsCountries, phone, 'BAD_USER_INPUT');
      return this.zitadel.setPhone(caller, userId, phone, mode);
    });
  }

  /** Makes a new code for the user's unverified phone and has it sent or returned. */
  resend(userId: string, mode: PhoneCodeMode): Promise<Change<PhoneCodeMade>> {
    return this.write(userId, async (caller) => {
      if (mode === 'SEND_CODE' && this.smsCountries.length > 0) {
        const phone = await this.read(userId);
        if (phone) checkSmsCountry(this.smsCountries, phone.number, 'FAILED_PRECONDITION');
      }
      return this.zitadel.resendPhoneCode(caller, userId, mode);
    });
  }

  /** Verifies the user's phone with the code. */
  verify(userId: string, verificationCode: string): Promise<Change<PhoneChanged>> {
    return this.write(userId, (caller) =>
      this.zitadel.verifyPhone(caller, userId, readVerificationCode(verificationCode)),
    );
  }

  /** Takes the user's phone away. */
  remove(userId: string): Promise<Change<PhoneChanged>> {
    return this.write(userId, (caller) => this.zitadel.removePhone(caller, userId));
  }

  /** What every write shares: nothing is sent twice, and nothing that was read before is believed in it or after it. */
  private async write<Answer extends PhoneChanged>(
    userId: string,
    call: (caller: Caller) => Promise<Answer>,
  ): Promise<Change<Answer>> {
    const caller = this.admit(userId);
    this.users?.clear(userId);
    try {
      return { ...(await call(caller)), user: { id: userId } };
    } catch (error) {
      throw writeError(error);
    } finally {
      this.users?.clear(userId);
    }
  }

  /** Nothing is sent for a nameless caller or a bad id. */
  private admit(userId: string): Caller {
    if (!this.caller) throw new CodedError({ code: 'UNAUTHENTICATED' });
    checkUserId(userId);
    return this.caller;
  }
}
