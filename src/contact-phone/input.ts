import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import { CodedError } from '../errors.js';
import { unsafeInteger } from '../unsafe-integers.js';

// Parses input, or rejects it as BAD_USER_INPUT. The messages never repeat the input, since they reach logs and other people.

/**
 * ZITADEL's ids have 1–200 characters. ZITADEL fails on characters other than printable ASCII before it checks the token. It also routes
 * on the decoded path, so an id that contains a separator, or is a dot segment, would call another operation, however it is encoded.
 */
export function isUserId(value: unknown): value is string {
  return typeof value === 'string' && /^(?!\.\.?$)[\x20-\x2e\x30-\x5b\x5d-\x7e]{1,200}$/.test(value);
}

export function checkUserId(userId: unknown): asserts userId is string {
  if (userId === unsafeInteger) {
    refuse('Send ids as strings: this number exceeds the safe integer range, and could become the id of another user.');
  }
  if (!isUserId(userId)) refuse('The user id is not valid.');
}

/** Includes the spaces and brackets that people type. */
const maxNumberLength = 100;

/**
 * Parses a number as people type it. ZITADEL would read one without a `+` as Swiss, and does not check whether it is valid.
 *
 * @returns the number in E.164 format
 */
export function readPhoneNumber(value: unknown): string {
  if (typeof value !== 'string') refuse('The phone number must be a string.');
  // Comes first: the cost of what follows grows with the length.
  if (value.length > maxNumberLength) refuse(`The phone number must have at most ${maxNumberLength} characters.`);
  // Numbers copied from contacts come wrapped in invisible directional marks.
  const text = value.replace(/\p{Cf}/gu, '').trim();
  if (!text.startsWith('+')) refuse('The phone number must begin with a + and a country calling code.');
  const number = parsePhoneNumberFromString(text, { extract: false });
  // The parameters of RFC 3966, such as `;isub=5`, would be ignored.
  if (!number?.isValid() || text.includes(';')) refuse('The phone number is not valid.');
  if (number.ext !== undefined) refuse('The phone number must not have an extension.');
  return number.number;
}

/** Pasted codes come with white space. ZITADEL's codes are case-sensitive, so the case is kept. */
export function readVerificationCode(value: unknown): string {
  // A number may have lost zeros.
  const code = typeof value === 'string' ? value.trim() : '';
  if (!/^\P{Cs}{1,20}$/u.test(code)) refuse('The verification code must have 1 to 20 characters.');
  return code;
}

function refuse(message: string): never {
  throw new CodedError({ code: 'BAD_USER_INPUT' }, { message });
}
