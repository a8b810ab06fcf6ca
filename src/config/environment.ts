import * as z from 'zod';
import * as limit from './limit-variables.js';
import * as tls from './tls-variables.js';
import * as variable from './variables.js';

// What each variable means and what it defaults to, as `--help` and .env.example show it.

const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const logFormats = ['json', 'pretty'] as const;

export type LogLevel = (typeof logLevels)[number];
export type LogFormat = (typeof logFormats)[number];

const smsLimits = limit.limits('limits such as 1/30s,5/10m,20/24h, where each longer one allows more');

/** The variables, in the order of docs/configuration.md. */
export const environment = z.object({
  ZITADEL_URL: variable
    .httpUrl('of ZITADEL, such as https://example.zitadel.cloud')
    .describe('The base URL of ZITADEL; may include a path (required)'),
  ZITADEL_INSTANCE_HOST: variable.hostName
    .optional()
    .describe('The host name of the instance, if ZITADEL_URL is an internal address'),
  ZITADEL_HOST: variable.hostName.optional().describe('The host name in Host and TLS, if ZITADEL_URL has another'),
  ZITADEL_API: z
    .enum(['rest', 'connect'], 'must be rest or connect')
    .default('rest')
    .describe('How to call ZITADEL: rest or connect'),
  ZITADEL_TIMEOUT_MS: variable
    .wholeNumber(1, 300_000)
    .default(10_000)
    .describe('How long one field may wait for ZITADEL, in ms'),
  ZITADEL_CA_FILE: tls.certificates.optional().describe('A PEM file with the only authorities to trust for ZITADEL'),
  ZITADEL_CLIENT_CERT_FILE: tls.certificates.optional().describe('A PEM file with a client certificate for ZITADEL'),
  ZITADEL_CLIENT_KEY_FILE: tls.privateKey.optional().describe('A PEM file with its private key'),
  HTTPS_PROXY: variable.proxyUrl.optional().describe('The proxy for an https ZITADEL_URL'),
  HTTPS_PROXY_FILE: variable.fileWith(variable.proxyUrl).describe('A file with HTTPS_PROXY'),
  NO_PROXY: z.string().optional().describe('Hosts to call without HTTPS_PROXY, comma-separated'),
  SMS_COUNTRIES: limit.countries
    .default([])
    .describe('Countries that SMS may be sent to, such as CH,DE,AT; all if unset'),
  SMS_NUMBER_TYPES: limit.numberTypes
    .prefault('MOBILE,FIXED_LINE_OR_MOBILE,VOIP,PERSONAL_NUMBER,UNKNOWN')
    .describe('Types of phone numbers that SMS may be sent to'),
  SMS_LIMITS: smsLimits.prefault('1/30s,5/10m,20/24h').describe('How many SMS may be sent to one user, or off'),
  SMS_LIMITS_PER_NUMBER: smsLimits.optional().describe('The same for one number; as SMS_LIMITS if unset'),
  SMS_BUDGET: limit.budgets.prefault('off').describe('The same for all users, such as 1000/1h,CH:500/1h'),
  VERIFY_LIMIT: limit
    .limit('5/10m')
    .prefault('5/10m')
    .describe('How many wrong codes a caller may try for a user, or off'),
  PHONE_HASH_KEY: variable.secrets.optional().describe('A secret for hashing numbers, to share SMS_LIMITS_PER_NUMBER'),
  PHONE_HASH_KEY_FILE: variable.fileWith(variable.secrets).describe('A file with PHONE_HASH_KEY'),
  REDIS_URL: variable.redisUrl.optional().describe('Redis or Valkey, such as redis://:password@host:6379/0'),
  REDIS_URL_FILE: variable.fileWith(variable.redisUrl).describe('A file with REDIS_URL'),
  REDIS_PREFIX: variable.redisPrefix.default('contact-phone').describe('The prefix of all keys in Redis'),
  HOST: z
    .string()
    .regex(/^[a-z0-9:.-]+$/i, 'must be an IP address or a host name to listen on')
    .default('0.0.0.0')
    .describe('The address to listen on'),
  PORT: variable.port.default(4001).describe('The port to listen on'),
  BODY_LIMIT: variable
    .wholeNumber(1024, 100 * 1024 * 1024)
    .default(1024 * 1024)
    .describe('The maximum size of a request body, in bytes'),
  // With more tokens, graphql-js could overflow the stack on nested values.
  MAX_TOKENS: variable
    .wholeNumber(100, 10_000)
    .default(2_000)
    .describe('The maximum number of tokens in a GraphQL document'),
  MAX_ALIASES: variable.wholeNumber(1, 1_000).default(50).describe('The maximum number of aliases in an operation'),
  KEEP_ALIVE_TIMEOUT_MS: variable
    .wholeNumber(1, 3_600_000)
    .default(72_000)
    .describe('How long an idle connection stays open, in ms'),
  CORS_ORIGINS: variable.origins.default([]).describe('Origins that browsers may call from, comma-separated'),
  ROUTER_SECRETS: variable.secrets.optional().describe('A secret, or two, that requests must send in x-router-secret'),
  ROUTER_SECRETS_FILE: variable.fileWith(variable.secrets).describe('A file with ROUTER_SECRETS'),
  INTROSPECTION: variable.flag.default(false).describe('Whether introspection is on'),
  PLAYGROUND: variable.flag.default(false).describe('Whether to serve /playground'),
  LOG_LEVEL: z
    .enum(logLevels, `must be one of ${logLevels.join(', ')}`)
    .default('info')
    .describe('fatal, error, warn, info, debug, trace or silent'),
  LOG_FORMAT: z.enum(logFormats, 'must be json or pretty').default('json').describe('json, or pretty for people'),
  METRICS_PORT: variable.port.optional().describe('Serve /metrics on this port instead of PORT'),
  // Checked in trace-variables.ts, with OpenTelemetry's other variables.
  OTEL_EXPORTER_OTLP_ENDPOINT: z.string().optional().describe('Where to send traces, such as http://localhost:4318'),
  SHUTDOWN_DELAY_MS: variable
    .wholeNumber(0, 300_000)
    .default(0)
    .describe('How long to accept requests after a signal, in ms'),
  SHUTDOWN_TIMEOUT_MS: variable
    .wholeNumber(1, 600_000)
    .default(25_000)
    .describe('How long requests in flight may still take, in ms'),
});

/** The demo is more permissive than the defaults. */
export const demoDefaults = {
  HOST: '127.0.0.1',
  INTROSPECTION: 'true',
  PLAYGROUND: 'true',
  LOG_FORMAT: 'pretty',
  CORS_ORIGINS: 'http://localhost:*,http://127.0.0.1:*',
  SMS_LIMITS: '1/30s,5/10m',
};
