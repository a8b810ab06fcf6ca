import { Arg, Ctx, Directive, ID, Mutation, Query, Resolver } from 'type-graphql';
import type { ContactPhoneService } from './contact-phone.service.js';
import {
  ContactPhone,
  PhoneCodeMode,
  PhoneNumber,
  RemoveContactPhoneResult,
  ResendResult,
  SetContactPhoneResult,
  SetPhoneMode,
  User,
  VerificationCode,
  VerifyContactPhoneResult,
} from './contact-phone.types.js';
import type { PhoneReader } from './phone-reader.js';

/** The part of a request's context that the fields use. */
export interface ContactPhoneContext {
  /** Both act for the caller. */
  phones: PhoneReader;
  contactPhone: ContactPhoneService;
}

const userIdArg = {
  description: 'ZITADEL user ID. Send it as a string; it exceeds the safe integer range.',
};

// Every mutation is nullable: a failing non-null root field would throw away the results of its siblings.
// The weights are for routers that limit the cost of an operation. 10 is one call to ZITADEL: before an SMS, the user is read.
@Resolver()
export class ContactPhoneResolver {
  @Directive('@cost(weight: 10)')
  @Query(() => ContactPhone, {
    nullable: true,
    description: "A user's contact phone. Null without an error means that the user has none.",
  })
  contactPhone(
    @Arg('userId', () => ID, userIdArg) userId: string,
    @Ctx() { phones }: ContactPhoneContext,
  ): Promise<ContactPhone | null> {
    return phones.read(userId);
  }

  // Never a bare reference: through it, anyone could reach other subgraphs' fields of any user.
  @Directive('@cost(weight: 10)')
  @Query(() => User, {
    nullable: true,
    description:
      "A user. Clients that read the contact phone through this field can cache it by the user's `id`. " +
      'Fails if the caller may not read the user, even if only `id` is selected.',
  })
  contactPhoneUser(
    @Arg('userId', () => ID, userIdArg) userId: string,
    @Ctx() { phones }: ContactPhoneContext,
  ): Promise<User> {
    return phones.readUser(userId);
  }

  @Directive('@cost(weight: 20)')
  @Mutation(() => SetContactPhoneResult, {
    nullable: true,
    description:
      "Sets or replaces the user's contact phone. The new phone is unverified unless the mode is `MARK_VERIFIED`. " +
      'Fails with `FAILED_PRECONDITION` if the user already has this number.',
  })
  setContactPhone(
    @Arg('userId', () => ID, userIdArg) userId: string,
    @Arg('number', () => PhoneNumber, { description: 'The new number.' }) number: unknown,
    @Arg('mode', () => SetPhoneMode, {
      defaultValue: SetPhoneMode.SEND_CODE,
      description: 'How the phone is verified.',
    })
    mode: SetPhoneMode,
    @Ctx() { contactPhone }: ContactPhoneContext,
  ): Promise<SetContactPhoneResult> {
    return contactPhone.set(userId, number, mode);
  }

  @Directive('@cost(weight: 20)')
  @Mutation(() => ResendResult, {
    nullable: true,
    description:
      "Creates a new verification code for the user's unverified contact phone. " +
      'Fails with `FAILED_PRECONDITION` if there is no phone or it is already verified. ' +
      'Not idempotent: every call invalidates the previous code and may send another SMS, ' +
      'even if it fails with the outcome `UNKNOWN`.',
  })
  resendContactPhoneCode(
    @Arg('userId', () => ID, userIdArg) userId: string,
    @Arg('mode', () => PhoneCodeMode, {
      defaultValue: PhoneCodeMode.SEND_CODE,
      description: 'How the user gets the code.',
    })
    mode: PhoneCodeMode,
    @Ctx() { contactPhone }: ContactPhoneContext,
  ): Promise<ResendResult> {
    return contactPhone.resend(userId, mode);
  }

  @Directive('@cost(weight: 10)')
  @Mutation(() => VerifyContactPhoneResult, {
    nullable: true,
    description:
      'Verifies the contact phone with the most recent code. ' +
      'Any other code fails with `INVALID_VERIFICATION_CODE`. ' +
      'Fails with `FAILED_PRECONDITION` if there is no phone or it is already verified: `extensions.reason` says which.',
  })
  verifyContactPhone(
    @Arg('userId', () => ID, userIdArg) userId: string,
    @Arg('verificationCode', () => VerificationCode, { description: 'The code that the user received.' })
    verificationCode: unknown,
    @Ctx() { contactPhone }: ContactPhoneContext,
  ): Promise<VerifyContactPhoneResult> {
    return contactPhone.verify(userId, verificationCode);
  }

  @Directive('@cost(weight: 10)')
  @Mutation(() => RemoveContactPhoneResult, {
    nullable: true,
    description: "Removes the user's contact phone. Fails with `FAILED_PRECONDITION` if the user has none.",
  })
  removeContactPhone(
    @Arg('userId', () => ID, userIdArg) userId: string,
    @Ctx() { contactPhone }: ContactPhoneContext,
  ): Promise<RemoveContactPhoneResult> {
    return contactPhone.remove(userId);
  }
}
