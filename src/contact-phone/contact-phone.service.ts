import type { SmsConfig } from '../config/config.js';
import type { Outcome } from '../errors.js';
import { Failure } from '../failure.js';
import { failureOf } from '../failures.js';
import { callerOf, type Caller as LimitedCaller } from '../limits/callers.js';
import type { Limits } from '../limits/limits.js';
import type { Sms } from '../limits/sms-limit.js';
import type { Deadline } from '../zitadel/exchange.js';
import type { ChangeResponse, CodeResponse, PhoneCodeMode, SetPhoneMode, ZitadelUser } from '../zitadel/messages.js';
import type { ZitadelClient } from '../zitadel/zitadel-client.js';
import type { Caller } from '../zitadel/caller.js';
import type { PhoneChanges } from './phone-changes.js';
import type { ContactPhone, PhoneReader } from './phone-reader.js';
import { explain, explained, mayRead, readBeforeResend, readBeforeSet } from './users.js';
import { checkSmsNumber, readPhoneNumber, readVerificationCode } from './validation.js';

/** The user after a change. If the change does not show the phone, it is read, but only if it is selected. */
interface ChangedUser {
  id: string;
  contactPhone: ContactPhone | null | (() => Promise<ContactPhone | null>);
}

type ChangeResult = ChangeResponse & { user: ChangedUser };

/** ZITADEL's answer, and when another SMS may be sent to the user: absent if no SMS was sent, or there are no limits per user. */
type SmsResult = CodeResponse & { resendAvailableAt?: string };

type CodeResult = SmsResult & ChangeResult;

/**
 * All changes to contact phones, for the caller of one request. One instance per request.
 * Every method throws only Failures.
 */
export class ContactPhoneService {
  private limited: LimitedCaller | undefined;

  constructor(
    private readonly zitadel: ZitadelClient,
    private readonly limits: Limits,
    private readonly changes: PhoneChanges,
    private readonly phones: PhoneReader,
    private readonly sms: SmsConfig,
  ) {}

  /**
   * Sets or replaces the user's phone, and has ZITADEL send a code, return a code, or mark the phone as verified.
   *
   * @param typed the number as the client sent it; it may be of any type
   */
  set(userId: string, typed: unknown, mode: SetPhoneMode): Promise<CodeResult> {
    return this.write(userId, async (caller, deadline) => {
      const number = readPhoneNumber(typed);
      const set = (country?: string) => {
        const setPhone = () => this.zitadel.setPhone(caller, userId, number, mode, country, deadline);
        return this.changes.set(userId, deadline, setPhone);
      };
      const sendCode = async () => {
        const sms = { userId, ...checkSmsNumber(this.sms, number, true) };
        const user = await readBeforeSet(this.zitadel, caller, userId, deadline);
        return this.sendSms(caller, user, sms, deadline, () => set(sms.country));
      };
      const answer = mode === 'SEND_CODE' ? await sendCode() : await this.makeCode(caller, userId, set);
      const contactPhone = this.phones.toContactPhone(userId, { number, isVerified: mode === 'MARK_VERIFIED' });
      return { ...answer, user: { id: userId, contactPhone } };
    });
  }

  /** Has ZITADEL create a new code for the user's unverified phone, and send or return it. */
  resend(userId: string, mode: PhoneCodeMode): Promise<CodeResult> {
    return this.write(userId, async (caller, deadline) => {
      const resend = (country?: string) => this.zitadel.resendPhoneCode(caller, userId, mode, country, deadline);
      const sendCode = async () => {
        const user = await readBeforeResend(this.zitadel, caller, userId, deadline);
        const sms = { userId, ...checkSmsNumber(this.sms, user.phone.number, false) };
        const call = () => this.changes.resendBySms(user, deadline, () => resend(sms.country));
        return this.sendSms(caller, user, sms, deadline, call);
      };
      const answer = mode === 'SEND_CODE' ? await sendCode() : await this.makeCode(caller, userId, resend);
      return { ...answer, user: { id: userId, contactPhone: () => this.phones.read(userId) } };
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
      const isReader = () => mayRead(this.zitadel, caller, userId, deadline);
      const answer = await this.limits.guesses.run(userId, this.limitedCaller(caller), isReader, verify);
      const contactPhone = async () => {
        const phone = await this.phones.read(userId);
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
      const caller = this.phones.admit(userId);
      // Nobody would see the result. This happens if the caller hung up during an earlier mutation of the same document.
      if (caller.isGone()) throw new Failure({ code: 'FAILED_PRECONDITION' }, { text: 'The caller hung up.' });
      return await call(caller, deadline);
    } catch (error) {
      const failure = failureOf(error);
      const { outcome, isAmbiguous } = failure.facts;
      if (outcome && isAmbiguous) throw await explain(failure, this.zitadel, this.phones.caller, userId, deadline);
      if (outcome) throw failure;
      throw failure.with({ outcome: outcomeOf(failure), ...(this.phones.isUserId(userId) && { userId }) });
    }
  }

  /** Makes a call that sends an SMS, if the limits allow it. If ZITADEL refuses the call, the user as read before it shows why. */
  private async sendSms(
    caller: Caller,
    user: ZitadelUser,
    sms: Sms,
    deadline: Deadline,
    send: () => Promise<CodeResponse>,
  ): Promise<SmsResult> {
    const call = () => send().catch((error: unknown) => Promise.reject(explained(failureOf(error), user)));
    const limited = this.limitedCaller(caller);
    const outcomeOfSms = (failure?: Failure) => (failure ? outcomeOf(failure) : 'DONE');
    const { answer, opensAt } = await this.limits.sms.run(sms, limited, deadline.left(0.5), call, outcomeOfSms);
    return { ...answer, ...(opensAt && { resendAvailableAt: opensAt.toISOString() }) };
  }

  /** Makes a call that creates a code without an SMS. Then clears the caller's guesses, which were for an earlier code. */
  private async makeCode<Answer>(caller: Caller, userId: string, call: () => Promise<Answer>): Promise<Answer> {
    const answer = await call();
    await this.limits.guesses.clear(userId, this.limitedCaller(caller));
    return answer;
  }

  private limitedCaller(caller: Caller): LimitedCaller {
    return (this.limited ??= callerOf(caller.headers.authorization, () => caller.isGone()));
  }
}

/** A failure without an outcome comes from a check before the write, but a fault of this server may come after it. */
function outcomeOf({ verdict, facts }: Failure): Outcome {
  return facts.outcome ?? (verdict.code === 'INTERNAL_SERVER_ERROR' ? 'UNKNOWN' : 'NOT_DONE');
}
