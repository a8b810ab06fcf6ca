import { Arg, Ctx, ID, Mutation, Query, Resolver } from 'type-graphql';
import { PhoneNumber } from './contact-phone.scalars.js';
import type { ContactPhoneService } from './contact-phone.service.js';
import {
  ContactPhone,
  PhoneCodeMode,
  RemoveContactPhoneResult,
  ResendResult,
  SetContactPhoneResult,
  SetPhoneMode,
  VerifyContactPhoneResult,
} from './contact-phone.types.js';

export interface ContactPhoneContext {
  /** Acts on behalf of the caller. */
  contactPhone: ContactPhoneService;
}

const userIdArg = {
  description: "ZITADEL's id of the user, always as a string: it is longer than a JSON number holds.",
};

// Every mutation is nullable: a failing non-null root field would throw away the results of its siblings.
@Resolver()
export class ContactPhoneResolver {
  @Query(() => ContactPhone, {
    nullable: true,
    description: 'The contact phone of a user; null without an error means that the user has none.',
  })
  contactPhone(
    @Arg('userId', () => ID, userIdArg) userId: string,
    @Ctx() { contactPhone }: ContactPhoneContext,
  ): Promise<ContactPhone | null> {
    return contactPhone.read(userId);
  }

  @Mutation(() => SetContactPhoneResult, {
    nullable: true,
    description:
      'Sets the contact phone of a user, in place of the one before; unless it is marked as verified, it has then to be verified. ' +
      'The number that is there already is refused with `FAILED_PRECONDITION`.',
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

  @Mutation(() => ResendResult, {
    nullable: true,
    description:
      'Makes a new verification code for the unverified contact phone of a user, which replaces the one before. ' +
      'Not repeatable without harm: each call makes another code and perhaps another SMS.',
  })
  resendContactPhoneCode(
    @Arg('userId', () => ID, userIdArg) userId: string,
    @Arg('mode', () => PhoneCodeMode, {
      defaultValue: PhoneCodeMode.SEND_CODE,
      description: 'How the code gets to the user.',
    })
    mode: PhoneCodeMode,
    @Ctx() { contactPhone }: ContactPhoneContext,
  ): Promise<ResendResult> {
    return contactPhone.resend(userId, mode);
  }

  @Mutation(() => VerifyContactPhoneResult, {
    nullable: true,
    description:
      "Proves with the last code that was made that the contact phone is the user's. " +
      'Any other code is refused with `INVALID_VERIFICATION_CODE`, and so is every code where none is due.',
  })
  verifyContactPhone(
    @Arg('userId', () => ID, userIdArg) userId: string,
    @Arg('verificationCode', () => String, {
      description:
        'The code as the user got it, 1 to 20 characters. White space around it is ignored; upper and lower case matter.',
    })
    verificationCode: string,
    @Ctx() { contactPhone }: ContactPhoneContext,
  ): Promise<VerifyContactPhoneResult> {
    return contactPhone.verify(userId, verificationCode);
  }

  @Mutation(() => RemoveContactPhoneResult, {
    nullable: true,
    description:
      'Takes the contact phone of a user away. Where there is none, that is refused with `FAILED_PRECONDITION`.',
  })
  removeContactPhone(
    @Arg('userId', () => ID, userIdArg) userId: string,
    @Ctx() { contactPhone }: ContactPhoneContext,
  ): Promise<RemoveContactPhoneResult> {
    return contactPhone.remove(userId);
  }
}
