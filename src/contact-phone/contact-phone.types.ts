import { Directive, Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import { DateTime } from './contact-phone.scalars.js';

export enum PhoneCodeMode {
  SEND_CODE = 'SEND_CODE',
  RETURN_CODE = 'RETURN_CODE',
}
const codeModes = {
  SEND_CODE: { description: 'ZITADEL sends the code to the phone by SMS.' },
  RETURN_CODE: {
    description:
      'ZITADEL returns the code to the caller, who delivers it. Needs the permission `user.write`, also for oneself.',
  },
};
registerEnumType(PhoneCodeMode, {
  name: 'PhoneCodeMode',
  description: 'How a verification code gets to the user.',
  valuesConfig: codeModes,
});

export enum SetPhoneMode {
  SEND_CODE = 'SEND_CODE',
  RETURN_CODE = 'RETURN_CODE',
  MARK_VERIFIED = 'MARK_VERIFIED',
}
registerEnumType(SetPhoneMode, {
  name: 'SetPhoneMode',
  description: 'How a new phone is verified: with a code that gets to the user in one of two ways, or not at all.',
  valuesConfig: {
    ...codeModes,
    MARK_VERIFIED: {
      description:
        'There is no code: the caller vouches for the phone. Needs the permission `user.write`, also for oneself.',
    },
  },
});

@Directive('@shareable')
@ObjectType({ simpleResolvers: true, description: 'What ZITADEL tells about a change of an object.' })
export class ObjectDetails {
  @Field(() => String, {
    description: 'The number of the last event of the object: an unsigned 64-bit integer, hence a string.',
  })
  sequence!: string;

  @Field(() => DateTime, { description: 'When the object last changed.' })
  changeDate!: string;

  @Field(() => ID, { description: 'The organisation that the object belongs to.' })
  resourceOwner!: string;
}

@ObjectType({ simpleResolvers: true, description: 'The phone that a user is reached at, and that codes are sent to.' })
export class ContactPhone {
  @Field(() => String, { description: 'The number as E.164 has it, such as `+41791234567`.' })
  number!: string;

  @Field(() => Boolean, { description: 'Whether the phone is known to be theirs: proven with a code, or vouched for.' })
  isVerified!: boolean;
}

// Another subgraph owns and describes the type. Composition keeps only one description, and warns about a second.
@Directive('@key(fields: "id")')
@ObjectType({ simpleResolvers: true })
export class User {
  @Field(() => ID)
  id!: string;

  /** graphql-js calls a function, and treats a returned Error as the failure of this field. */
  @Field(() => ContactPhone, {
    nullable: true,
    description: 'The contact phone; null without an error means that the user has none.',
  })
  contactPhone!: ContactPhone | null | Error | (() => Promise<ContactPhone | null>);
}

/** The result of every change of a contact phone. */
@ObjectType({ simpleResolvers: true })
abstract class PhoneChange {
  @Field(() => ObjectDetails, { description: 'The change of the user.' })
  details!: ObjectDetails;

  @Field(() => User, { description: 'The user, as they are after the change.' })
  user!: User;
}

/** The result of a change that creates a code. */
@ObjectType({ simpleResolvers: true })
abstract class PhoneCodeChange extends PhoneChange {
  @Field(() => String, {
    nullable: true,
    description: 'The new code in the mode `RETURN_CODE`, null in every other.',
  })
  verificationCode?: string | null | undefined;

  @Field(() => DateTime, {
    nullable: true,
    description:
      'When the limits let the caller have another SMS sent to the user: until then, that is refused with `RATE_LIMITED`. ' +
      'Null when no SMS was sent, or there are no limits.',
  })
  resendAvailableAt?: () => string | undefined;
}

@ObjectType({
  simpleResolvers: true,
  description: 'The contact phone is set; a code for the one before no longer works.',
})
export class SetContactPhoneResult extends PhoneCodeChange {}

@ObjectType({
  simpleResolvers: true,
  description: 'A new verification code is on its way; the one before no longer works.',
})
export class ResendResult extends PhoneCodeChange {}

@ObjectType({ simpleResolvers: true, description: 'The contact phone is verified; the code is used up.' })
export class VerifyContactPhoneResult extends PhoneChange {}

@ObjectType({ simpleResolvers: true, description: 'The user has no contact phone any more.' })
export class RemoveContactPhoneResult extends PhoneChange {}
