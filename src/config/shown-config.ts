import type { Config } from './config.js';
import { formatLimits } from './limit-variables.js';

// What the log shows of a configuration: never a secret.

/**
 * The secrets that differ between two configurations.
 *
 * @returns the names of their variables: `REDIS_URL`, for example, even if `REDIS_URL_FILE` is set
 */
export function changedSecrets(before: Config, after: Config): string[] {
  const [old, now] = [secretsOf(before), secretsOf(after)];
  return Object.keys(now).filter((name) => old[name] !== now[name]);
}

const secretsOf = ({ http, limits, zitadel }: Config): Record<string, string | undefined> => ({
  ZITADEL_CA_FILE: zitadel.tls.ca,
  ZITADEL_CLIENT_CERT_FILE: zitadel.tls.cert,
  ZITADEL_CLIENT_KEY_FILE: zitadel.tls.key,
  HTTPS_PROXY: zitadel.proxy.url?.href,
  PHONE_HASH_KEY: limits.phoneHashKeys?.join(),
  REDIS_URL: limits.redisUrl?.href,
  ROUTER_SECRETS: http.routerSecrets.join(),
});

/** The limits in effect, for the log, in the format of the variables. It must show no secret: the URL of Redis may contain a password. */
export function effectiveLimits({ limits, sms, zitadel }: Config): Record<string, unknown> {
  const { smsLimits, smsLimitsPerNumber, smsBudgets, verifyLimit, phoneHashKeys, redisUrl, redisPrefix } = limits;
  return {
    SMS_COUNTRIES: sms.countries.length > 0 ? sms.countries.join(',') : 'all',
    SMS_NUMBER_TYPES: sms.numberTypes.join(','),
    SMS_LIMITS: formatLimits(smsLimits),
    SMS_LIMITS_PER_NUMBER: formatLimits(smsLimitsPerNumber),
    SMS_BUDGET: formatLimits(smsBudgets.map(({ country, limit }) => ({ country, ...limit }))),
    VERIFY_LIMIT: formatLimits(verifyLimit ? [verifyLimit] : []),
    PHONE_HASH_KEY: phoneHashKeys === undefined ? 'unset' : 'set',
    REDIS_PREFIX: redisPrefix,
    ZITADEL_TIMEOUT_MS: zitadel.timeoutMs,
    sharedByRedis: redisUrl !== undefined,
  };
}
