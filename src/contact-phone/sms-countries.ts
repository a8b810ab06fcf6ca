import { parsePhoneNumberFromString, type CountryCode } from 'libphonenumber-js/max';
import { CodedError } from '../errors.js';

/**
 * Refuses a number of a country that no SMS may be sent to: the standard defence against SMS pumping.
 *
 * @param countries all if empty
 * @param number in the format E.164; one whose country is not known is of none of them
 * @param code whether it is the input or the state of the user that is at fault
 */
export function checkSmsCountry(
  countries: readonly CountryCode[],
  number: string,
  code: 'BAD_USER_INPUT' | 'FAILED_PRECONDITION',
): void {
  if (countries.length === 0) return;
  const country = parsePhoneNumberFromString(number, { extract: false })?.country;
  if (country && countries.includes(country)) return;
  throw new CodedError({ code }, { message: 'No SMS is sent to phone numbers of this country.' });
}
