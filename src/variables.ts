import { readFileSync } from 'node:fs';
import { isSupportedCountry } from 'libphonenumber-js/max';
import { z } from 'zod';

// Parsers for each kind of variable. Error messages never repeat a value that may be a secret.

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

export const wholeNumber = (min: number, max: number) => {
  const rule = `must be a whole number from ${min} to ${max}`;
  return z.string().regex(/^\d+$/, rule).transform(Number).pipe(z.number().min(min, rule).max(max, rule));
};

export const flag = z.enum(['true', 'false'], 'must be true or false').transform((value) => value === 'true');

export const port = wholeNumber(0, 65_535);

export const httpUrl = (ofWhat: string) =>
  z.string(`is required: the base URL ${ofWhat}`).transform((value, issues) => {
    const parsed = URL.canParse(value) ? new URL(value) : undefined;
    if (
      parsed &&
      /^https?:$/.test(parsed.protocol) &&
      parsed.port !== '0' &&
      parsed.href === parsed.origin + parsed.pathname
    )
      return parsed;
    issues.addIssue('must be an http or https URL without a user, query or fragment');
    return z.NEVER;
  });

export const hostName = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]*(:\d{1,5})?$/i, 'must be a host name, such as example.zitadel.cloud');

export const proxyUrl = z.string().transform((value, issues) => {
  const parsed = URL.canParse(value) ? new URL(value) : undefined;
  if (parsed && /^https?:$/.test(parsed.protocol) && parsed.hostname !== '') return parsed;
  issues.addIssue('must be the URL of an HTTP proxy, such as http://proxy.example.com:3128');
  return z.NEVER;
});

/** The contents of a file, without a line break at the end. */
export const contents = z.string().transform((path, issues) => {
  try {
    const text = readFileSync(path, 'utf8').replace(/\r?\n$/, '');
    if (text !== '') return text;
    issues.addIssue('must name a file that is not empty');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown';
    issues.addIssue(`must name a file that this process can read (${code})`);
  }
  return z.NEVER;
});

/** The value of another variable in a file. */
export const fileWith = <Value extends z.ZodType<unknown, string>>(value: Value) => contents.pipe(value).optional();

/** The text of a bad entry, if it cannot be a secret: at most three letters or digits, or only capitals. Otherwise its position. */
const nameOf = (text: string, index: number) => (/^(\w{1,3}|[A-Z_]{1,20})$/.test(text) ? text : `entry ${index + 1}`);

const listOf = (rule: string, isEntry: (text: string) => boolean) =>
  z.string().transform((value, issues) => {
    const list = value.split(',').map((text) => text.trim());
    const bad = list.findIndex((text) => !isEntry(text));
    if (bad < 0) return list;
    issues.addIssue(`must be a comma-separated list of ${rule}: ${nameOf(list[bad] ?? '', bad)} is wrong`);
    return z.NEVER;
  });

const isOrigin = (text: string) => /^https?:[^*]+$/.test(text) && URL.canParse(text) && new URL(text).origin === text;

/** With `*` as the port, a pattern for any port. */
const originOf = (text: string) =>
  text.endsWith(':*') ? new RegExp(`^${text.slice(0, -2).replace(/[^\w:/-]/g, String.raw`\$&`)}(:\\d{1,5})?$`) : text;

export const origins = listOf(
  'origins without a slash at the end, such as https://app.example.com or http://localhost:*',
  (text) => isOrigin(text.replace(/:\*$/, ':1')),
).transform((list) => list.map(originOf));

const isSecret = (text: string) => /^[\x21-\x7e]{16,}$/.test(text);

/** One secret, or two during a rotation. */
export const secrets = z.string().transform((value, issues) => {
  const list = value.split(',').map((text) => text.trim());
  if (list.length <= 2 && list.every(isSecret)) return list;
  issues.addIssue('must be one secret, or two separated by a comma, each of at least 16 visible ASCII characters');
  return z.NEVER;
});

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

/** The prefix becomes a hash tag of Redis Cluster, which a brace would end early. */
export const redisPrefix = z.string().regex(/^[\w.-]{1,50}$/, 'must be 1 to 50 letters, digits, or any of ._-');

export const redisUrl = z.string().transform((value, issues) => {
  const parsed = URL.canParse(value) ? new URL(value) : undefined;
  const isSound = ({ protocol, hostname, pathname, search, hash }: URL) =>
    /^rediss?:$/.test(protocol) && hostname !== '' && /^\/?\d{0,4}$/.test(pathname) && search + hash === '';
  if (parsed && isSound(parsed) && canDecode(parsed.username) && canDecode(parsed.password)) return parsed;
  issues.addIssue('must be a URL such as redis://:password@host:6379/0, or rediss:// for TLS');
  return z.NEVER;
});

function canDecode(text: string): boolean {
  try {
    decodeURIComponent(text);
    return true;
  } catch {
    return false;
  }
}
