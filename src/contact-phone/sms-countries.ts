import { parsePhoneNumberFromString, type CountryCode } from 'libphonenumber-js/max';
import { CodedError } from '../errors.js';

/**
 * Rejects a number from a country that no SMS may be sent to: the standard defence against SMS pumping.
 *
 * @param countries all if empty
 * @param number in E.164 format; rejected if its country is unknown
 * @param code whether the input or the state of the user is at fault
 */
export function checkSmsCountry(
  countries: readonly CountryCode[],
  number: string,
  code: 'BAD_USER_INPUT' | 'FAILED_PRECONDITION',
): void {
  if (countries.length === 0) return;
  const country = parsePhoneNumberFromString(number, { extract: false })?.country;
  if (country && countries.includes(country)) return;
  throw new CodedError({ code }, { message: 'No SMS is sent to phone numbers in this country.' });
}
