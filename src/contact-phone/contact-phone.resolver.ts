import { Arg, Ctx, FieldResolver, ID, Mutation, Query, Resolver, Root } from 'type-graphql';
import type { RequestContext } from '../context.js';
import { ContactPhone, PhoneCodeMode, ResendResult, User } from './contact-phone.types.js';

const userIdArg = {
  description: "ZITADEL's id of the user, always as a string: it is longer than a JSON number holds.",
};

@Resolver(() => User)
export class UserResolver {
  @FieldResolver(() => ContactPhone, {
    nullable: true,
    description: 'The contact phone; null without an error means that the user has none.',
  })
  contactPhone(@Root() { id }: User, @Ctx() { contactPhone }: RequestContext): Promise<ContactPhone | null> {
    return contactPhone.read(id);
  }
}

@Resolver()
export class ContactPhoneResolver {
  @Query(() => ContactPhone, {
    nullable: true,
    description: 'The contact phone of a user; null without an error means that the user has none.',
  })
  contactPhone(
    @Arg('userId', () => ID, userIdArg) userId: string,
    @Ctx() { contactPhone }: RequestContext,
  ): Promise<ContactPhone | null> {
    return contactPhone.read(userId);
  }

  @Mutation(() => ResendResult, {
    // Every mutation is nullable: a failing non-null root field would throw away the results of its siblings.
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
    @Ctx() { contactPhone }: RequestContext,
  ): Promise<ResendResult> {
    return contactPhone.resend(userId, mode);
  }
}
