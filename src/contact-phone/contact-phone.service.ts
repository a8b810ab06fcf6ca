import type { SmsConfig } from '../config.js';
import type { Outcome } from '../errors.js';
import { Failure } from '../failure.js';
import { failureOf } from '../failures.js';
import { callerKeyOf, type Limits } from '../limits/limits.js';
import type { Deadline } from '../zitadel/exchange.js';
import type {
  ChangeResponse,
  CodeResponse,
  Phone,
  PhoneCodeMode,
  SetPhoneMode,
  ZitadelUser,
} from '../zitadel/messages.js';
import type { ZitadelClient } from '../zitadel/zitadel-client.js';
import type { Caller } from '../zitadel/zitadel-connection.js';
import type { PhoneChanges } from './phone-changes.js';
import { createUserLoader, explain, explained, readBeforeResend, readBeforeSet, type UserLoader } from './users.js';
import { badUserId, checkSmsNumber, readPhoneNumber, readVerificationCode } from './validation.js';

/** The user after a change. What the change itself proves about the phone is not read again; the rest is, but only if it is selected. */
interface ChangedUser {
  id: string;
  contactPhone: Phone | null | (() => Promise<Phone | null>);
}

type ChangeResult = ChangeResponse & { user: ChangedUser };

/** What ZITADEL answered, and when the limits will allow another SMS, if one was sent and there are limits. */
type SmsResult = CodeResponse & { resendAvailableAt?: string };

type CodeResult = SmsResult & ChangeResult;

/**
 * All operations on contact phones, on behalf of the caller of one request. One instance per request.
 * Every method throws only Failures.
 */
export class ContactPhoneService {
  private users: UserLoader | undefined;
  private callerKey: string | undefined;

  /**
   * @param caller undefined if the request has no usable `Authorization`
   */
  constructor(
    private readonly zitadel: ZitadelClient,
    private readonly limits: Limits,
    private readonly changes: PhoneChanges,
    private readonly caller: Caller | undefined,
    private readonly sms: SmsConfig,
  ) {}

  /** Whether this can be the id of a user. */
  isUserId(userId: string): boolean {
    return this.zitadel.isUserId(userId);
  }

  /** Reads the user's phone; null if they have none. */
  async read(userId: string): Promise<Phone | null> {
    const [phone] = await this.readAll([userId]);
    if (phone instanceof Failure) throw phone;
    return phone ?? null;
  }

  /** Reads the phones of many users: for each one the phone, null if they have none, or why it could not be read. */
  async readAll(userIds: readonly string[]): Promise<(Phone | null | Failure)[]> {
    const refused = new Map<string, Failure>();
    for (const userId of userIds) {
      try {
        this.admit(userId);
      } catch (error) {
        refused.set(userId, failureOf(error).with(this.isUserId(userId) ? { userId } : {}));
      }
    }
    if (this.caller) this.users ??= createUserLoader(this.zitadel, this.caller);
    const users = await this.users?.load(userIds.filter((userId) => !refused.has(userId)));
    return userIds.map((userId) => {
      const user = users?.get(userId);
      if (user && !(user instanceof Failure)) return user.phone;
      return refused.get(userId) ?? (user ?? userUnknown).with({ userId });
    });
  }

  /**
   * Sets or replaces the user's phone, and has ZITADEL send a code, return a code, or mark the phone as verified.
   *
   * @param typed the number as the client sent it; it may be of any type
   */
  set(userId: string, typed: unknown, mode: SetPhoneMode): Promise<CodeResult> {
    return this.write(userId, async (caller, deadline) => {
      const number = readPhoneNumber(typed);
      const smsCountry = mode === 'SEND_CODE' ? checkSmsNumber(this.sms, number, true) : undefined;
      const setPhone = () => this.zitadel.setPhone(caller, userId, number, mode, smsCountry, deadline);
      const set = () => this.changes.set(userId, deadline, setPhone);
      const read = () => readBeforeSet(this.zitadel, caller, userId, deadline);
      const answer = mode === 'SEND_CODE' ? await this.sendSms(caller, userId, read, set) : await set();
      return { ...answer, user: { id: userId, contactPhone: { number, isVerified: mode === 'MARK_VERIFIED' } } };
    });
  }

  /** Has ZITADEL create a new code for the user's unverified phone, and send or return it. */
  resend(userId: string, mode: PhoneCodeMode): Promise<CodeResult> {
    return this.write(userId, async (caller, deadline) => {
      const resend = (smsCountry?: string) => this.zitadel.resendPhoneCode(caller, userId, mode, smsCountry, deadline);
      const resendBySms = (user: ZitadelUser & { phone: Phone }) =>
        this.changes.resendBySms(user, deadline, () => resend(checkSmsNumber(this.sms, user.phone.number, false)));
      const read = async () => {
        const user = await readBeforeResend(this.zitadel, caller, userId, deadline);
        checkSmsNumber(this.sms, user.phone.number, false);
        return user;
      };
      const answer = mode === 'SEND_CODE' ? await this.sendSms(caller, userId, read, resendBySms) : await resend();
      return { ...answer, user: { id: userId, contactPhone: () => this.read(userId) } };
    });
  }

  /**
   * Verifies the user's phone with the code.
   *
   * @param typed the code as the client sent it; it may be of any type
   */
  verify(userId: string, typed: unknown): Promise<ChangeResult> {
    return this.write(userId, async (caller, deadline) => {
      const code = readVerificationCode(typed);
      const verify = () => this.zitadel.verifyPhone(caller, userId, code, deadline);
      const outcomeOfGuess = (failure?: Failure) => (failure ? (failure.facts.guess ?? 'UNKNOWN') : 'NOT_DONE');
      const { answer } = await this.limits.guesses.run(userId, this.keyOf(caller), verify, outcomeOfGuess);
      const contactPhone = async () => {
        const phone = await this.read(userId);
        return phone && { ...phone, isVerified: true };
      };
      return { ...answer, user: { id: userId, contactPhone } };
    });
  }

  /** Removes the user's phone. */
  remove(userId: string): Promise<ChangeResult> {
    return this.write(userId, async (caller, deadline) => {
      const remove = () => this.zitadel.removePhone(caller, userId, deadline);
      const answer = await this.changes.remove(userId, deadline, remove);
      return { ...answer, user: { id: userId, contactPhone: null } };
    });
  }

  /** What all writes share: one deadline for all calls, and failures with an outcome. */
  private async write<Result>(
    userId: string,
    call: (caller: Caller, deadline: Deadline) => Promise<Result>,
  ): Promise<Result> {
    const deadline = this.zitadel.deadline();
    try {
      const caller = this.admit(userId);
      // Nobody would see the result. This happens if the caller hung up during an earlier mutation of the same document.
      if (caller.isGone()) throw new Failure({ code: 'FAILED_PRECONDITION' }, { text: 'The caller hung up.' });
      return await call(caller, deadline);
    } catch (error) {
      const failure = failureOf(error);
      const { outcome, isAmbiguous } = failure.facts;
      if (outcome && isAmbiguous) throw await explain(failure, this.zitadel, this.caller, userId, deadline);
      if (outcome) throw failure;
      throw failure.with({ outcome: outcomeOf(failure), ...(this.isUserId(userId) && { userId }) });
    }
  }

  /** Makes a call that sends an SMS, if the limits and a read of the user allow one. If ZITADEL refuses the call, the read explains why. */
  private async sendSms<User extends ZitadelUser>(
    caller: Caller,
    userId: string,
    read: () => Promise<User>,
    call: (user: User) => Promise<CodeResponse>,
  ): Promise<SmsResult> {
    const readAndCall = async () => {
      const user = await read();
      return call(user).catch((error: unknown) => Promise.reject(explained(failureOf(error), user)));
    };
    const outcomeOfSms = (failure?: Failure) => (failure ? outcomeOf(failure) : 'DONE');
    const { answer, opensAt } = await this.limits.sms.run(userId, this.keyOf(caller), readAndCall, outcomeOfSms);
    return { ...answer, ...(opensAt && { resendAvailableAt: opensAt.toISOString() }) };
  }

  private keyOf(caller: Caller): string {
    return (this.callerKey ??= callerKeyOf(caller.headers.authorization));
  }

  /** Refuses an anonymous caller or a bad id, before any call. */
  private admit(userId: string): Caller {
    if (!this.caller) throw new Failure({ code: 'UNAUTHENTICATED', reason: 'TOKEN_MISSING' });
    if (!this.isUserId(userId)) throw badUserId(userId);
    return this.caller;
  }
}

/** A failure without an outcome comes from a check before the write, but a fault of ours may come after it. */
function outcomeOf({ verdict, facts }: Failure): Outcome {
  return facts.outcome ?? (verdict.code === 'INTERNAL_SERVER_ERROR' ? 'UNKNOWN' : 'NOT_DONE');
}

const userUnknown = new Failure({ code: 'NOT_FOUND', reason: 'USER_UNKNOWN' });
