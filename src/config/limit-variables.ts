import { isSupportedCountry } from 'libphonenumber-js/max';
import * as z from 'zod';
import { listOf, nameOf } from './variables.js';

// Parsers for the variables that limit SMS and wrong codes.

/** At most `count` in `seconds`. */
export interface Limit {
  count: number;
  seconds: number;
}

/** A limit for all users together. Without a country, it is for all countries together. */
export interface Budget {
  country?: string | undefined;
  limit: Limit;
}

/** Stands for the country of numbers without one, such as those of satellite networks: the UN's code for the world. */
export const noCountry = '001';

const isCountry = (text: string) => text === noCountry || isSupportedCountry(text);

/** libphonenumber's types. `UNKNOWN` is ours: its metadata gives such numbers no type, for example if their range is newer. */
const types =
  'MOBILE, FIXED_LINE_OR_MOBILE, FIXED_LINE, VOIP, PERSONAL_NUMBER, TOLL_FREE, SHARED_COST, PREMIUM_RATE, PAGER, UAN, VOICEMAIL, UNKNOWN';

export const countries = listOf('two-letter country codes such as CH,DE,AT, or 001 for no country', isCountry);

export const numberTypes = listOf(`types out of ${types}`, (text) => types.split(', ').includes(text));

const secondsOf = { s: 1, m: 60, h: 60 * 60, d: 24 * 60 * 60 };
/** The maximum of a Node.js timer. */
const maxLimitSeconds = 24 * secondsOf.d;
/** A history stores the time of each SMS or wrong code; a budget stores only sums. */
const [maxCount, maxBudgetCount] = [100, 1_000_000];

/** @returns undefined if the text is not a limit that is small enough */
function limitOf(text: string, max: number): Limit | undefined {
  const [, digits, time, unit] = /^([1-9]\d{0,8})\/([1-9]\d{0,8})([smhd])$/.exec(text) ?? [];
  const [count, seconds] = [Number(digits), Number(time) * secondsOf[unit as keyof typeof secondsOf]];
  // Any other format gives NaN, and every comparison with NaN is false.
  return count <= max && seconds <= maxLimitSeconds ? { count, seconds } : undefined;
}

/** Parses `off` as no limits, and `1/30s,5/10m` as a list of limits. */
export const limits = (rule: string, maxLimits = Infinity) =>
  z.string().transform((value, issues) => {
    if (value === 'off') return [];
    const parsed = value.split(',').map((text) => limitOf(text.trim(), maxCount));
    const list = parsed.filter((limit) => limit !== undefined).sort((one, other) => one.seconds - other.seconds);
    // A longer limit that allows no more than a shorter one makes the shorter one pointless, which must be a mistake.
    const isSound = ({ count, seconds }: Limit, index: number) =>
      list.slice(0, index).every((shorter) => shorter.seconds < seconds && shorter.count < count);
    if (list.length === parsed.length && list.length <= maxLimits && list.every(isSound)) return list;
    issues.addIssue(`must be off or ${rule} (count at most ${maxCount}, duration at most 24d)`);
    return z.NEVER;
  });

/** The inverse of `limits` and `budgets`. */
export function formatLimits(list: readonly (Limit & { country?: string | undefined })[]): string {
  const format = ({ count, seconds, country }: (typeof list)[number]) => {
    // A day is written as 24h, as in docs/configuration.md.
    const isWhole = ([unit, length]: [string, number]) => seconds % length === 0 && (unit !== 'd' || seconds > length);
    const [unit, length] = Object.entries(secondsOf).findLast(isWhole) ?? ['s', 1];
    return `${country ? `${country}:` : ''}${count}/${seconds / length}${unit}`;
  };
  return list.length > 0 ? list.map(format).join(',') : 'off';
}

export const limit = (example: string) => limits(`a limit such as ${example}`, 1).transform(([only]) => only);

/** Parses `off` as no budgets, and `1000/1h,CH:500/1h` as one for all countries and one for Switzerland. */
export const budgets = z.string().transform((value, issues) => {
  const list: Budget[] = [];
  if (value === 'off') return list;
  for (const [index, text] of value.split(',').entries()) {
    const [, country, rest = ''] = /^(?:(.*?):)?(.*)$/s.exec(text.trim()) ?? [];
    const limit = limitOf(rest, maxBudgetCount);
    const isRepeated = list.some((other) => other.country === country);
    if (limit && !isRepeated && (country === undefined || isCountry(country))) {
      list.push({ country, limit });
      continue;
    }
    const rule = `one for all countries and one for each (count at most ${maxBudgetCount}, duration at most 24d)`;
    issues.addIssue(
      `must be off or limits such as 1000/1h,CH:500/1h, ${rule}: ${nameOf(country ?? rest, index)} is wrong`,
    );
    return z.NEVER;
  }
  return list;
});
