import { Arg, Ctx, ID, Mutation, Resolver } from 'type-graphql';
import type { RequestContext } from '../context.js';
import { PhoneCodeMode, ResendResult } from './contact-phone.types.js';

@Resolver()
export class ContactPhoneResolver {
  @Mutation(() => ResendResult, {
    // Every mutation is nullable: a failing non-null root field would throw away the results of its siblings.
    nullable: true,
    description:
      'Makes a new verification code for the unverified contact phone of a user, which replaces the one before. ' +
      'Not repeatable without harm: each call makes another code and perhaps another SMS.',
  })
  resendContactPhoneCode(
    @Arg('userId', () => ID, {
      description: "ZITADEL's id of the user, always as a string: it is longer than a JSON number holds.",
    })
    userId: string,
    @Arg('mode', () => PhoneCodeMode, {
      defaultValue: PhoneCodeMode.SEND_CODE,
      description: 'How the code gets to the user.',
    })
    mode: PhoneCodeMode,
    @Ctx() { contactPhone, caller }: RequestContext,
  ): Promise<ResendResult> {
    return contactPhone.resend(caller, userId, mode);
  }
}
