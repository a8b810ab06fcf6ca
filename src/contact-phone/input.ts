import { parsePhoneNumberFromString } from 'libphonenumber-js/max';
import { CodedError } from '../errors.js';
import { unsafeInteger } from '../unsafe-integers.js';

// What a caller gives us, read or refused as BAD_USER_INPUT. The messages never repeat it: they reach logs and other people.

/**
 * ZITADEL's ids have 1–200 characters. It fails on any that is not printable ASCII, before it looks at the token; and it routes on the
 * decoded path, so an id that holds a separator, or is a dot segment, would become another operation however it is encoded.
 */
export function isUserId(value: unknown): value is string {
  return typeof value === 'string' && /^(?!\.\.?$)[\x20-\x2e\x30-\x5b\x5d-\x7e]{1,200}$/.test(value);
}

export function checkUserId(userId: unknown): asserts userId is string {
  if (userId === unsafeInteger) {
    refuse('Send ids as strings: this number is too large for JSON in JavaScript, and would stand for another user.');
  }
  if (!isUserId(userId)) refuse('The user id is not valid.');
}

/** With all spaces and brackets that a person may type. */
const maxNumberLength = 100;

/**
 * Reads a number as a person types it. ZITADEL would take one without a `+` for Swiss, and does not check whether it exists.
 *
 * @returns it as E.164 has it
 */
export function readPhoneNumber(value: unknown): string {
  if (typeof value !== 'string') refuse('The phone number must be a string.');
  // First: what follows takes longer the longer it is.
  if (value.length > maxNumberLength) refuse(`The phone number must have at most ${maxNumberLength} characters.`);
  // Numbers that are copied from contacts come wrapped in invisible marks of their direction.
  const text = value.replace(/\p{Cf}/gu, '').trim();
  if (!text.startsWith('+')) refuse('The phone number must begin with a + and the calling code of its country.');
  const number = parsePhoneNumberFromString(text, { extract: false });
  // The parameters of RFC 3966, such as `;isub=5`, would be ignored.
  if (!number?.isValid() || text.includes(';')) refuse('The phone number is not valid.');
  if (number.ext !== undefined) refuse('The phone number must have no extension.');
  return number.number;
}

/** White space comes with a code that was pasted. Upper and lower case are different codes to ZITADEL, and stay as they are. */
export function readVerificationCode(text: string): string {
  const code = text.trim();
  if (!/^\P{Cs}{1,20}$/u.test(code)) refuse('The verification code must have 1 to 20 characters.');
  return code;
}

function refuse(message: string): never {
  throw new CodedError({ code: 'BAD_USER_INPUT' }, { message });
}
