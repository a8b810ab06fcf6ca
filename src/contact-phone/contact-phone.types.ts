import { GraphQLScalarType } from 'graphql';
import { Directive, Field, ID, ObjectType, registerEnumType } from 'type-graphql';

// The scalars accept anything as input. The service reads it, and reports an error at the path of the field. An error thrown by a scalar is
// an internal error in gateways, and routers quote the values of built-in scalars that they reject.

export const PhoneNumber = new GraphQLScalarType({
  name: 'PhoneNumber',
  description:
    'A phone number as a string. In results it is in E.164 format: `+41791234567`. ' +
    'As an argument it may contain spaces and punctuation, as in `+41 79 123 45 67`. ' +
    'It must begin with `+` and a country calling code, be valid, and have no extension.',
  specifiedByURL: 'https://www.itu.int/rec/T-REC-E.164',
});

export const VerificationCode = new GraphQLScalarType({
  name: 'VerificationCode',
  description:
    'A verification code of 1 to 20 characters, as a string: it may begin with a zero. ' +
    'It is case-sensitive. White space around it is ignored.',
  specifiedByURL: 'https://zitadel.com/docs/reference/api/user/zitadel.user.v2.UserService.VerifyPhone',
});

/** ZITADEL's string, validated when its answer was read. A JavaScript Date would drop the microseconds. */
const DateTime = new GraphQLScalarType({
  name: 'DateTime',
  description:
    'A date and time in RFC 3339 format, with as many fractional digits as ZITADEL sent, such as `2026-11-23T19:04:05.123456Z`.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
});

export enum PhoneCodeMode {
  SEND_CODE = 'SEND_CODE',
  RETURN_CODE = 'RETURN_CODE',
}
const codeModes = {
  SEND_CODE: { description: 'ZITADEL sends the code to the phone by SMS.' },
  RETURN_CODE: {
    description:
      'ZITADEL returns the code to the caller, who delivers it to the user. Requires the permission `user.write`, even for your own user.',
  },
};
registerEnumType(PhoneCodeMode, {
  name: 'PhoneCodeMode',
  description: 'How the user gets a verification code.',
  valuesConfig: codeModes,
});

export enum SetPhoneMode {
  SEND_CODE = 'SEND_CODE',
  RETURN_CODE = 'RETURN_CODE',
  MARK_VERIFIED = 'MARK_VERIFIED',
}
registerEnumType(SetPhoneMode, {
  name: 'SetPhoneMode',
  description:
    'How a new phone is verified: with a code sent by SMS, with a code that the caller delivers, or without a code.',
  valuesConfig: {
    ...codeModes,
    MARK_VERIFIED: {
      description:
        'The phone is marked as verified without a code. Requires the permission `user.write`, even for your own user.',
    },
  },
});

@ObjectType({ simpleResolvers: true, description: "ZITADEL's record of a change to a contact phone." })
class ContactPhoneChangeDetails {
  @Field(() => String, {
    nullable: true,
    description:
      "The sequence number of the user's most recent event: an unsigned 64-bit integer, which does not fit in an Int.",
  })
  sequence?: string | null;

  @Field(() => DateTime, { description: 'When the user was changed.' })
  changeDate!: string;

  @Field(() => ID, { nullable: true, description: 'The ID of the organisation that the user belongs to.' })
  resourceOwner?: string | null;
}

@ObjectType({ simpleResolvers: true, description: "A user's contact phone number." })
export class ContactPhone {
  @Directive('@tag(name: "pii")')
  @Field(() => PhoneNumber, { description: 'The number in E.164 format, such as `+41791234567`.' })
  number!: string;

  @Field(() => Boolean, { description: 'Whether the phone was verified with a code, or marked as verified.' })
  isVerified!: boolean;

  /** graphql-js calls this only if the field is selected. */
  @Field(() => DateTime, {
    nullable: true,
    description:
      'The earliest time at which the limits per user allow another SMS. Until then, sending one fails with `RATE_LIMITED`. ' +
      'Null if they allow one now. Limits on the number or on all users may still refuse it.',
  })
  resendAvailableAt!: () => Promise<string | null>;
}

// Another subgraph owns and describes the type. Composition keeps only one description, and warns about a second.
@Directive('@key(fields: "id")')
@ObjectType({ simpleResolvers: true })
export class User {
  @Field(() => ID)
  id!: string;

  /** Any form that graphql-js can resolve: a function is called only if the field is selected, and an Error fails only this field. */
  @Field(() => ContactPhone, {
    nullable: true,
    description: 'The contact phone. Null without an error means that the user has none.',
  })
  contactPhone!: ContactPhone | null | Error | (() => Promise<ContactPhone | null>);
}

@ObjectType({ simpleResolvers: true })
abstract class ChangeResult {
  @Field(() => ContactPhoneChangeDetails, { description: "ZITADEL's record of the change." })
  details!: ContactPhoneChangeDetails;

  @Field(() => User, { description: 'The user after the change.' })
  user!: User;
}

@ObjectType({ simpleResolvers: true })
abstract class CodeResult extends ChangeResult {
  @Directive('@tag(name: "pii")')
  @Field(() => String, {
    nullable: true,
    description: 'The new code if the mode is `RETURN_CODE`, otherwise null.',
  })
  verificationCode?: string | null | undefined;

  @Field(() => DateTime, {
    nullable: true,
    description:
      'The earliest time at which the limits per user allow another SMS. Until then, sending one fails with `RATE_LIMITED`. ' +
      'Null if no SMS was sent, or if there are no limits per user. Limits on the number or on all users may still refuse it.',
  })
  resendAvailableAt?: string;
}

@ObjectType({
  simpleResolvers: true,
  description: 'The contact phone was set. Codes for the previous one no longer work.',
})
export class SetContactPhoneResult extends CodeResult {}

@ObjectType({
  simpleResolvers: true,
  description: 'A new verification code was created. The previous one no longer works.',
})
export class ResendResult extends CodeResult {}

@ObjectType({ simpleResolvers: true, description: 'The contact phone was verified. The code cannot be used again.' })
export class VerifyContactPhoneResult extends ChangeResult {}

@ObjectType({ simpleResolvers: true, description: 'The contact phone was removed.' })
export class RemoveContactPhoneResult extends ChangeResult {}
