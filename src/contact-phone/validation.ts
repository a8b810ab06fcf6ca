import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import { noCountry, type SmsConfig } from '../config/config.js';
import { Failure } from '../failure.js';

// Parses what clients send, or refuses it. The messages never repeat the input, since they reach logs and other people.

/**
 * Replaces an integer in the variables that JavaScript may have rounded. It contains a control character and has more than 20 characters,
 * so it is never valid as a user id or a verification code.
 */
export const unsafeInteger = '\u0000 an integer that JavaScript cannot hold';

export function badUserId(userId: unknown): Failure {
  const text =
    userId === unsafeInteger
      ? 'Send ids as strings: this number exceeds the safe integer range, and could become the id of another user.'
      : undefined;
  return new Failure({ code: 'BAD_USER_INPUT', reason: 'USER_ID_INVALID' }, { argument: 'userId', text });
}

/** Includes the spaces and brackets that people type. */
const maxNumberLength = 100;

/**
 * Parses a number as people type it. ZITADEL would read one without a `+` as Swiss, and does not check whether it is valid.
 *
 * @returns the number in E.164 format
 */
export function readPhoneNumber(value: unknown): string {
  if (typeof value !== 'string') throw badNumber('NUMBER_INVALID', 'The phone number must be a string.');
  // Must come first: the cost of what follows grows with the length.
  if (value.length > maxNumberLength)
    throw badNumber('NUMBER_INVALID', `The phone number must have at most ${maxNumberLength} characters.`);
  // Numbers copied from contacts may be wrapped in invisible directional marks.
  const text = value.replace(/\p{Cf}/gu, '').trim();
  if (!text.startsWith('+')) throw badNumber('NUMBER_WITHOUT_COUNTRY_CODE');
  const number = parsePhoneNumberFromString(text, { extract: false });
  // libphonenumber ignores the parameters of RFC 3966, such as `;isub=5`.
  if (!number?.isValid() || text.includes(';')) throw badNumber('NUMBER_INVALID');
  if (number.ext !== undefined) throw badNumber('NUMBER_WITH_EXTENSION');
  return number.number;
}

function badNumber(
  reason: 'NUMBER_INVALID' | 'NUMBER_WITHOUT_COUNTRY_CODE' | 'NUMBER_WITH_EXTENSION',
  text?: string,
): Failure {
  return new Failure({ code: 'BAD_USER_INPUT', reason }, { argument: 'number', text });
}

/**
 * Refuses a number if no SMS may be sent to its country or type: the standard defence against SMS pumping. ZITADEL may also hold text that
 * libphonenumber cannot parse, or a number that belongs to none of the countries sharing its calling code. These are refused too.
 *
 * @param number the number that ZITADEL has, or would get
 * @param isTyped whether it is the caller's input, not the user's current number
 * @returns the number in E.164 format, and its country: `001` if it has none
 */
export function checkSmsNumber(
  { countries, numberTypes }: SmsConfig,
  number: string,
  isTyped: boolean,
): { number: string; country: string } {
  const parsed = parsePhoneNumberFromString(number, { extract: false });
  const country = parsed?.isNonGeographic() ? noCountry : parsed?.country;
  const isListed = (one: string) => (countries.length > 0 ? countries.includes(one) : one !== noCountry);
  if (parsed && country && isListed(country) && numberTypes.includes(parsed.getType() ?? 'UNKNOWN'))
    return { number: parsed.number, country };
  const reason = 'NUMBER_NOT_ALLOWED';
  if (isTyped) throw new Failure({ code: 'BAD_USER_INPUT', reason }, { argument: 'number' });
  throw new Failure({ code: 'FAILED_PRECONDITION', reason });
}

/** Pasted codes come with white space. ZITADEL's codes are case-sensitive, so the case is kept. */
export function readVerificationCode(value: unknown): string {
  const code = typeof value === 'string' ? value.trim() : '';
  if (/^\P{Cs}{1,20}$/u.test(code)) return code;
  const text = typeof value === 'string' ? undefined : 'The verification code must be a string.';
  throw new Failure({ code: 'BAD_USER_INPUT', reason: 'CODE_MALFORMED' }, { argument: 'verificationCode', text });
}
