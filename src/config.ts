import { isSupportedCountry, type CountryCode } from 'libphonenumber-js/max';
import { z } from 'zod';

/** What the process was told, read once at the door. */
export interface Config {
  http: { host: string; port: number; corsOrigins: string[]; routerSecrets: string[] };
  graphql: { introspection: boolean };
  zitadel: ZitadelConfig;
  /** Where SMS may be sent; all countries if empty. */
  sms: { countries: CountryCode[] };
  log: { level: LogLevel };
}

export interface ZitadelConfig {
  /** http or https; may have a base path. */
  url: URL;
  instanceHost?: string | undefined;
  timeoutMs: number;
}

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

/** Everything that is wrong with the environment, in one message. It repeats no value: one of them may be a secret. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

const wholeNumber = (min: number, max: number) => {
  const rule = `must be a whole number from ${min} to ${max}`;
  return z.string().regex(/^\d+$/, rule).transform(Number).pipe(z.number().min(min, rule).max(max, rule));
};

const flag = z.enum(['true', 'false'], 'must be true or false').transform((value) => value === 'true');

const url = z
  .string('is required: the base URL of ZITADEL, such as https://example.zitadel.cloud')
  .transform((value, issues) => {
    const parsed = URL.canParse(value) ? new URL(value) : undefined;
    if (
      parsed &&
      /^https?:$/.test(parsed.protocol) &&
      parsed.port !== '0' &&
      parsed.href === parsed.origin + parsed.pathname
    )
      return parsed;
    issues.addIssue('must be an http or https URL without a user, a query and a fragment');
    return z.NEVER;
  });

const origins = z.string().transform((value, issues) => {
  const list = value.split(',').map((origin) => origin.trim());
  const isOrigin = (origin: string) =>
    /^https?:[^*]+$/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin;
  if (list.every(isOrigin)) return list;
  issues.addIssue('must be a comma-separated list of origins, such as https://app.example.com');
  return z.NEVER;
});

const routerSecrets = z.string().transform((value, issues) => {
  const list = value.split(',').map((secret) => secret.trim());
  if (list.length <= 2 && list.every((secret) => /^[\x21-\x7e]{16,}$/.test(secret))) return list;
  issues.addIssue('must be one secret, or two separated by a comma, each of at least 16 visible ASCII characters');
  return z.NEVER;
});

const countries = z.string().transform((value, issues) => {
  const list = value.split(',').map((country) => country.trim());
  if (list.every((country) => isSupportedCountry(country))) return list;
  issues.addIssue('must be a comma-separated list of two-letter country codes, such as CH,DE,AT');
  return z.NEVER;
});

/** The variables, as the README's table lists them. */
export const environment = z.object({
  ZITADEL_URL: url,
  ZITADEL_INSTANCE_HOST: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]*(:\d{1,5})?$/i, 'must be a host name, such as example.zitadel.cloud')
    .optional(),
  ZITADEL_TIMEOUT_MS: wholeNumber(1, 300_000).default(10_000),
  SMS_COUNTRIES: countries.default([]),
  HOST: z
    .string()
    .regex(/^[a-z0-9:.-]+$/i, 'must be an IP address or a host name to listen at')
    .default('0.0.0.0'),
  PORT: wholeNumber(0, 65_535).default(4001),
  CORS_ORIGINS: origins.default([]),
  ROUTER_SECRETS: routerSecrets.default([]),
  INTROSPECTION: flag.default(false),
  LOG_LEVEL: z.enum(logLevels, `must be one of ${logLevels.join(', ')}`).default('info'),
});

type Environment = Record<string, string | undefined>;

/**
 * Reads the configuration from environment variables; an empty one counts as not set.
 *
 * @param defaults for variables that are not set, before our own
 * @throws {ConfigError}
 */
export function readConfig(env: Environment, defaults: Environment = {}): Config {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ''));
  const { data, error } = environment.safeParse({ ...defaults, ...set });
  if (!data) {
    const mistakes = error.issues.map(({ path, message }) => `  ${path.join('.')} ${message}`);
    throw new ConfigError(`The configuration cannot be used:\n${[...new Set(mistakes)].join('\n')}`);
  }
  return {
    http: {
      host: data.HOST,
      port: data.PORT,
      corsOrigins: data.CORS_ORIGINS,
      routerSecrets: data.ROUTER_SECRETS,
    },
    graphql: { introspection: data.INTROSPECTION },
    zitadel: { url: data.ZITADEL_URL, instanceHost: data.ZITADEL_INSTANCE_HOST, timeoutMs: data.ZITADEL_TIMEOUT_MS },
    sms: { countries: data.SMS_COUNTRIES },
    log: { level: data.LOG_LEVEL },
  };
}
