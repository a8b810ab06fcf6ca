import { GraphQLError, GraphQLScalarType } from 'graphql';
import { Directive, Field, ID, ObjectType, registerEnumType } from 'type-graphql';
import { z } from 'zod';

const rfc3339 = z.iso.datetime({ offset: true });

const checkDateTime = (value: unknown) => {
  const { data } = rfc3339.safeParse(value);
  if (data === undefined) throw new GraphQLError('DateTime must be a date and time as RFC 3339 has it.');
  return data;
};

/** A string that is checked and handed on as it is: a JavaScript Date would cut the microseconds that ZITADEL sends. */
export const DateTime = new GraphQLScalarType({
  name: 'DateTime',
  description:
    'A date and time as RFC 3339 has it, with every fraction digit that ZITADEL sent, such as `2026-11-23T19:04:05.123456Z`.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: checkDateTime,
  parseValue: checkDateTime,
});

export enum PhoneCodeMode {
  SEND_CODE = 'SEND_CODE',
  RETURN_CODE = 'RETURN_CODE',
}
registerEnumType(PhoneCodeMode, {
  name: 'PhoneCodeMode',
  description: 'How a verification code gets to the user.',
  valuesConfig: {
    SEND_CODE: { description: 'ZITADEL sends it to the phone by SMS.' },
    RETURN_CODE: {
      description:
        'ZITADEL returns it to the caller, who delivers it. Needs the permission `user.write`, also for oneself.',
    },
  },
});

@Directive('@shareable')
@ObjectType({ description: 'What ZITADEL tells about a change of an object.' })
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

@ObjectType({ description: 'The phone that a user is reached at, and that codes are sent to.' })
export class ContactPhone {
  @Field(() => String, { description: 'The number as E.164 has it, such as `+41791234567`.' })
  number!: string;

  @Field(() => Boolean, { description: 'Whether the user has proven with a code that the phone is theirs.' })
  isVerified!: boolean;
}

// Another subgraph owns and describes the type: composition takes but one description, and warns of a second.
@Directive('@key(fields: "id")')
@ObjectType()
export class User {
  @Field(() => ID)
  id!: string;
}

@ObjectType({ description: 'A new verification code is on its way; the one before no longer works.' })
export class ResendResult {
  @Field(() => ObjectDetails, { description: 'The change of the user.' })
  details!: ObjectDetails;

  @Field(() => String, {
    nullable: true,
    description: 'The new code in the mode `RETURN_CODE`, null in the mode `SEND_CODE`.',
  })
  verificationCode?: string | null | undefined;

  @Field(() => User, { description: 'The user, as they are after the change.' })
  user!: User;
}
