import { CodedError } from '../errors.js';
import type { PhoneCodeMode, ResendPhoneCodeResponse, User } from '../zitadel/messages.js';
import type { ZitadelClient } from '../zitadel/zitadel-client.js';
import type { Caller } from '../zitadel/zitadel-connection.js';
import { writeError } from './contact-phone.errors.js';
import { createUserLoader, type UserLoader } from './user-loader.js';

/** What a write gives back beside ZITADEL's answer: whom it changed, so that a client can read on. */
interface Changed {
  user: { id: string };
}

/**
 * The journey of a contact phone, on behalf of the caller of one request; it dies with the request, and what it has read with it.
 * Every method throws a CodedError that a client may see.
 */
export class ContactPhoneService {
  private users: UserLoader | undefined;

  /** @param caller undefined when the request carries no `Authorization` */
  constructor(
    private readonly zitadel: ZitadelClient,
    private readonly caller: Caller | undefined,
  ) {}

  /** Reads the user's phone; null if he has none. */
  async read(userId: string): Promise<User['phone']> {
    const caller = this.admit(userId);
    this.users ??= createUserLoader(this.zitadel, caller);
    const { phone } = await this.users.load(userId);
    return phone;
  }

  /** Makes a new code for the user's unverified phone and has it sent or returned. */
  resend(userId: string, mode: PhoneCodeMode): Promise<ResendPhoneCodeResponse & Changed> {
    return this.write(userId, (caller) => this.zitadel.resendPhoneCode(caller, userId, mode));
  }

  /** What every write shares: nothing is sent twice, and nothing that was read before it is believed after it. */
  private async write<T>(userId: string, call: (caller: Caller) => Promise<T>): Promise<T & Changed> {
    const caller = this.admit(userId);
    this.users?.clear(userId);
    try {
      return { ...(await call(caller)), user: { id: userId } };
    } catch (error) {
      throw writeError(error);
    }
  }

  /** Nothing is sent for a nameless caller or a bad id. */
  private admit(userId: string): Caller {
    if (!this.caller) throw new CodedError({ code: 'UNAUTHENTICATED' });
    checkUserId(userId);
    return this.caller;
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
