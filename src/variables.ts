import { closestMatch } from 'leven';
import { isSupportedCountry } from 'libphonenumber-js/max';
import { z } from 'zod';

// Parsers for each kind of variable, and a check for misspelt names. Error messages never repeat a value, since it may be a secret.

/** At most `count` in `seconds`. */
export interface Limit {
  count: number;
  seconds: number;
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

export const origins = z.string().transform((value, issues) => {
  const list = value.split(',').map((origin) => origin.trim());
  const isOrigin = (origin: string) =>
    /^https?:[^*]+$/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin;
  if (list.every(isOrigin)) return list;
  issues.addIssue('must be a comma-separated list of origins, such as https://app.example.com');
  return z.NEVER;
});

export const routerSecrets = z.string().transform((value, issues) => {
  const list = value.split(',').map((secret) => secret.trim());
  if (list.length <= 2 && list.every((secret) => /^[\x21-\x7e]{16,}$/.test(secret))) return list;
  issues.addIssue('must be one secret, or two separated by a comma, each of at least 16 visible ASCII characters');
  return z.NEVER;
});

export const countries = z.string().transform((value, issues) => {
  const list = value.split(',').map((country) => country.trim());
  if (list.every((country) => isSupportedCountry(country))) return list;
  issues.addIssue('must be a comma-separated list of two-letter country codes, such as CH,DE,AT');
  return z.NEVER;
});

const secondsOf = { s: 1, m: 60, h: 60 * 60, d: 24 * 60 * 60 };
/** The maximum of a Node.js timer. */
const maxLimitSeconds = 24 * secondsOf.d;

/** Parses `off` as no limits, and `1/30s,5/10m` as a list of limits. */
export const limits = (rule: string, maxLimits = Infinity, maxCount = 1_000_000) =>
  z.string().transform((value, issues) => {
    if (value === 'off') return [];
    const list = value.split(',').map((text): Limit => {
      const [, count, time, unit] = /^([1-9]\d{0,8})\/([1-9]\d{0,8})([smhd])$/.exec(text.trim()) ?? [];
      // Text in any other format becomes NaN, which is not sound below.
      return { count: Number(count), seconds: Number(time) * secondsOf[unit as keyof typeof secondsOf] };
    });
    list.sort((one, other) => one.seconds - other.seconds);
    // A longer limit that allows no more than a shorter one makes the shorter one pointless, which must be a mistake.
    const isSound = ({ count, seconds }: Limit, index: number) =>
      count <= maxCount &&
      seconds <= maxLimitSeconds &&
      list.slice(0, index).every((shorter) => shorter.seconds < seconds && shorter.count < count);
    if (list.length <= maxLimits && list.every(isSound)) return list;
    issues.addIssue(`must be off or ${rule} (count at most ${maxCount}, duration at most 24d)`);
    return z.NEVER;
  });

/** The inverse of `limits`. */
export function formatLimits(list: readonly Limit[]): string {
  const format = ({ count, seconds }: Limit) => {
    // A day is written as 24h, as in the README.
    const isWhole = ([unit, length]: [string, number]) => seconds % length === 0 && (unit !== 'd' || seconds > length);
    const [unit, length] = Object.entries(secondsOf).findLast(isWhole) ?? ['s', 1];
    return `${count}/${seconds / length}${unit}`;
  };
  return list.length > 0 ? list.map(format).join(',') : 'off';
}

export const limit = (example: string, maxCount?: number) =>
  limits(`a limit such as ${example}`, 1, maxCount).transform(([only]) => only);

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

/** The variables that protect against SMS abuse have these prefixes. Ignoring a misspelt one would leave the server unprotected. */
const ourPrefix = /^(SMS|VERIFY|ZITADEL)_/i;

/**
 * Variables that Kubernetes sets in every pod for each Service in the namespace, such as one named `zitadel`.
 * https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
const ofService = /_SERVICE_HOST$|_SERVICE_PORT(_\w+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$/;

/**
 * Finds variables that look like ours but are not.
 *
 * @param names of the variables that are set
 * @param known the names of ours
 * @returns a sentence for each, with the variable that was probably meant
 */
export function unknownVariables(names: readonly string[], known: readonly string[]): string[] {
  return names
    .filter((name) => ourPrefix.test(name) && !ofService.test(name) && !known.includes(name))
    .map((name) => `${name} is not a variable of this server${suggestionFor(name, known)}`);
}

/** Up to half of the characters after the prefix may differ: sharing only the prefix is not enough. */
function suggestionFor(name: string, known: readonly string[]): string {
  const upper = name.toUpperCase();
  const maxDistance = Math.floor(name.replace(ourPrefix, '').length / 2);
  const meant = known.find((one) => one.startsWith(`${upper}_`)) ?? closestMatch(upper, [...known], { maxDistance });
  return meant === undefined ? '' : `; did you mean ${meant}?`;
}
