import { environment, type LogFormat, type LogLevel } from './environment.js';
import { tlsMistakes } from './tls-variables.js';
import { readTraces, type TracesConfig } from './trace-variables.js';
import { unknownVariables } from './unknown-variables.js';
import type { Budget, Limit } from './limit-variables.js';

export type { CollectorConfig, TracesConfig } from './trace-variables.js';
export { noCountry, type Limit } from './limit-variables.js';

/** The configuration of the process. Only secrets can change after startup. */
export interface Config {
  http: HttpConfig;
  graphql: GraphQLConfig;
  /** Whether the playground is served. */
  playground: boolean;
  /** The port for metrics; undefined for the same port as GraphQL. */
  metrics: { port: number | undefined };
  traces: TracesConfig;
  shutdown: { delayMs: number; timeoutMs: number };
  zitadel: ZitadelConfig;
  sms: SmsConfig;
  limits: LimitsConfig;
  log: LogConfig;
}

export interface HttpConfig {
  host: string;
  port: number;
  /** A pattern allows any port of an origin. */
  corsOrigins: (string | RegExp)[];
  routerSecrets: string[];
  bodyLimitBytes: number;
  keepAliveTimeoutMs: number;
}

interface GraphQLConfig {
  introspection: boolean;
  /** The maximum number of lexical tokens in a document. */
  maxTokens: number;
  /** The maximum number of aliases in an operation. */
  maxAliases: number;
}

export interface ZitadelConfig {
  /** http or https; may have a base path. */
  url: URL;
  instanceHost?: string | undefined;
  /** For `Host` and TLS, instead of the host of the URL; may have a port. */
  host?: string | undefined;
  tls: ZitadelTls;
  /** For an https URL. May contain a password. */
  proxy: { url: URL | undefined; except: string | undefined };
  /** The API of its user service. */
  api: 'rest' | 'connect';
  timeoutMs: number;
}

/** In PEM format. */
interface ZitadelTls {
  /** The only authorities to trust; if undefined, those that Node.js trusts. */
  ca?: string | undefined;
  cert?: string | undefined;
  key?: string | undefined;
}

/** The numbers that SMS may be sent to. */
export interface SmsConfig {
  /** Country codes, and `001` for numbers without a country. Empty means all but `001`. */
  countries: string[];
  /** libphonenumber's names, and `UNKNOWN`. */
  numberTypes: string[];
}

/** A limit that is undefined or an empty list is off. */
export interface LimitsConfig {
  /** How often an SMS may be sent to one user: sorted by duration, and each longer one allows more. */
  smsLimits: Limit[];
  /** The same for one number, whichever users have it. */
  smsLimitsPerNumber: Limit[];
  /** The same for all users together: at most one for all countries, and one for each country. */
  smsBudgets: Budget[];
  /** How many wrong codes one caller may try for one user. */
  verifyLimit: Limit | undefined;
  /** Redis gets numbers only as HMACs, one for each of these keys. If undefined, each process uses a random key, and limits numbers on its own. */
  phoneHashKeys: string[] | undefined;
  /** Shares the limits across processes. May contain a password. */
  redisUrl: URL | undefined;
  /** Separates deployments that share a Redis. */
  redisPrefix: string;
}

export interface LogConfig {
  level: LogLevel;
  format: LogFormat;
}

/** Reports everything that is wrong with the environment in one message. It repeats no values, since they may be secrets. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  /** Makes the log show the message unchanged, and no stack. */
  readonly isForLog = true;
}

type Environment = Record<string, string | undefined>;

/**
 * Reads the configuration from environment variables. An empty variable counts as unset.
 *
 * @param defaults for unset variables; they take precedence over the built-in defaults
 * @throws {ConfigError}
 */
export function readConfig(env: Environment, defaults: Environment = {}): Config {
  const set = Object.fromEntries(
    Object.entries(env)
      .filter(([, value]) => value !== '')
      // curl and others read these in lower case, so platforms set both.
      .map(([name, value]) => [/^(https|no)_proxy$/.test(name) ? name.toUpperCase() : name, value]),
  );
  const { data, error } = environment.safeParse({ ...defaults, ...set });
  const names = Object.keys(environment.shape);
  const twice = names.filter((name) => set[name] !== undefined && set[`${name}_FILE`] !== undefined);
  const unknown = unknownVariables(Object.keys(set), names);
  const { ZITADEL_CLIENT_CERT_FILE: cert, ZITADEL_CLIENT_KEY_FILE: key } = data ?? {};
  const tls = tlsMistakes({ ...defaults, ...set }, { cert, key });
  const isSamePort = data?.METRICS_PORT !== undefined && data.METRICS_PORT !== 0 && data.METRICS_PORT === data.PORT;
  const ports = isSamePort ? ['METRICS_PORT must not be the same as PORT'] : [];
  const both = twice.map((name) => `${name} and ${name}_FILE are both set: set only one of them`);
  const conflicts = [...ports, ...both, ...tls, ...unknown];
  if (!data || conflicts.length > 0) {
    const invalid = (error?.issues ?? []).map(({ path, message }) => `${path.join('.')} ${message}`);
    const mistakes = [...invalid, ...conflicts].map((mistake) => `  ${mistake}`);
    throw new ConfigError(`Invalid configuration:\n${[...new Set(mistakes)].join('\n')}`);
  }
  return {
    http: {
      host: data.HOST,
      port: data.PORT,
      corsOrigins: data.CORS_ORIGINS,
      routerSecrets: data.ROUTER_SECRETS ?? data.ROUTER_SECRETS_FILE ?? [],
      bodyLimitBytes: data.BODY_LIMIT,
      keepAliveTimeoutMs: data.KEEP_ALIVE_TIMEOUT_MS,
    },
    graphql: { introspection: data.INTROSPECTION, maxTokens: data.MAX_TOKENS, maxAliases: data.MAX_ALIASES },
    playground: data.PLAYGROUND,
    metrics: { port: data.METRICS_PORT },
    traces: readTraces(set),
    shutdown: { delayMs: data.SHUTDOWN_DELAY_MS, timeoutMs: data.SHUTDOWN_TIMEOUT_MS },
    zitadel: {
      url: data.ZITADEL_URL,
      instanceHost: data.ZITADEL_INSTANCE_HOST,
      host: data.ZITADEL_HOST,
      tls: { ca: data.ZITADEL_CA_FILE, cert: data.ZITADEL_CLIENT_CERT_FILE, key: data.ZITADEL_CLIENT_KEY_FILE },
      proxy: { url: data.HTTPS_PROXY ?? data.HTTPS_PROXY_FILE, except: data.NO_PROXY },
      api: data.ZITADEL_API,
      timeoutMs: data.ZITADEL_TIMEOUT_MS,
    },
    sms: { countries: data.SMS_COUNTRIES, numberTypes: data.SMS_NUMBER_TYPES },
    limits: {
      smsLimits: data.SMS_LIMITS,
      smsLimitsPerNumber: data.SMS_LIMITS_PER_NUMBER ?? data.SMS_LIMITS,
      smsBudgets: data.SMS_BUDGET,
      verifyLimit: data.VERIFY_LIMIT,
      phoneHashKeys: data.PHONE_HASH_KEY ?? data.PHONE_HASH_KEY_FILE,
      redisUrl: data.REDIS_URL ?? data.REDIS_URL_FILE,
      redisPrefix: data.REDIS_PREFIX,
    },
    log: { level: data.LOG_LEVEL, format: data.LOG_FORMAT },
  };
}
