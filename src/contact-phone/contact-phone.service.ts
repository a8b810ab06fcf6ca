import { CodedError } from '../errors.js';
import type { Caller, PhoneCodeMode, ResendPhoneCodeResponse, ZitadelClient } from '../zitadel/zitadel-client.js';
import { writeError } from './contact-phone.errors.js';

/** The journey of a contact phone. Every method throws a CodedError that a client may see. */
export class ContactPhoneService {
  constructor(private readonly zitadel: ZitadelClient) {}

  /**
   * Makes a new code for the user's unverified phone and has it sent or returned.
   *
   * @param caller undefined when the request carries no `Authorization`
   */
  resend(caller: Caller | undefined, userId: string, mode: PhoneCodeMode): Promise<ResendPhoneCodeResponse> {
    return this.write(caller, userId, (known) => this.zitadel.resendPhoneCode(known, userId, mode));
  }

  /** What every write shares: nothing is sent for a nameless caller or a bad id, and nothing is sent twice. */
  private async write<T>(caller: Caller | undefined, userId: string, call: (caller: Caller) => Promise<T>): Promise<T> {
    if (!caller) throw new CodedError({ code: 'UNAUTHENTICATED' });
    checkUserId(userId);
    try {
      return await call(caller);
    } catch (error) {
      throw writeError(error);
    }
  }
}

/**
 * ZITADEL's ids have 1–200 characters. ZITADEL routes on the decoded path, so an id that holds a separator, or is a dot segment,
 * would become another operation however it is encoded. A lone surrogate cannot be encoded at all.
 */
function checkUserId(userId: string): void {
  if (userId.isWellFormed() && /^(?!\.\.?$)[^/\\\p{Cc}]{1,200}$/u.test(userId)) return;
  throw new CodedError({ code: 'BAD_USER_INPUT' }, { message: 'The user id is not valid.' });
}
