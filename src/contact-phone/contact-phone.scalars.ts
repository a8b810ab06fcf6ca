import { GraphQLError, GraphQLScalarType } from 'graphql';
import { z } from 'zod';

const rfc3339 = z.iso.datetime({ offset: true });

const checkDateTime = (value: unknown) => {
  const { data } = rfc3339.safeParse(value);
  if (data === undefined) throw new GraphQLError('DateTime must be a date and time in RFC 3339 format.');
  return data;
};

/** A string that is checked but not converted: a JavaScript Date would drop the microseconds that ZITADEL sends. */
export const DateTime = new GraphQLScalarType({
  name: 'DateTime',
  description:
    'A date and time as RFC 3339 has it, with every fraction digit that ZITADEL sent, such as `2026-11-23T19:04:05.123456Z`.',
  specifiedByURL: 'https://www.rfc-editor.org/rfc/rfc3339',
  serialize: checkDateTime,
  parseValue: checkDateTime,
});

/** Accepts anything; the service checks it and reports an error at its path. Gateways turn errors of a scalar into internal errors. */
export const PhoneNumber = new GraphQLScalarType({
  name: 'PhoneNumber',
  description:
    'A string: a phone number with a leading `+` and the calling code of its country, as a person types it, such as ' +
    '`+41 79 123 45 67`. ' +
    'It must be a valid number without an extension, and is kept as E.164 has it: `+41791234567`.',
});
