import { expect, test } from 'vitest';
import { ConfigError, effectiveLimits, readConfig } from '../src/config.js';

const ZITADEL_URL = 'https://example.zitadel.cloud';

test('requires only ZITADEL_URL', () => {
  expect(readConfig({ ZITADEL_URL, PATH: '/usr/bin' })).toEqual({
    http: {
      host: '0.0.0.0',
      port: 4001,
      corsOrigins: [],
      routerSecrets: [],
      bodyLimitBytes: 1_048_576,
      keepAliveTimeoutMs: 72_000,
    },
    graphql: { introspection: false, maxTokens: 2_000, maxAliases: 50 },
    playground: false,
    metrics: { port: undefined },
    traces: { endpoint: undefined },
    shutdown: { delayMs: 0, timeoutMs: 25_000 },
    zitadel: { url: new URL(ZITADEL_URL), instanceHost: undefined, api: 'rest', timeoutMs: 10_000 },
    sms: { countries: [] },
    limits: {
      smsLimits: [
        { count: 1, seconds: 30 },
        { count: 5, seconds: 600 },
        { count: 20, seconds: 86_400 },
      ],
      smsBudget: undefined,
      verifyLimit: { count: 5, seconds: 600 },
      redisUrl: undefined,
    },
    log: { level: 'info', format: 'json' },
  });
});

test('treats an empty variable as unset', () => {
  expect(readConfig({ ZITADEL_URL, PORT: '', LOG_LEVEL: '', ZITADEL_INSTANCE_HOST: '' })).toEqual(
    readConfig({ ZITADEL_URL }),
  );
});

test('accepts one router secret, or two during a rotation', () => {
  const secretsOf = (ROUTER_SECRETS: string) => readConfig({ ZITADEL_URL, ROUTER_SECRETS }).http.routerSecrets;

  expect(secretsOf('sixteen-letters!')).toEqual(['sixteen-letters!']);
  expect(secretsOf('the-old-secret-of-it, the-new-secret-of-it')).toEqual([
    'the-old-secret-of-it',
    'the-new-secret-of-it',
  ]);
});

test('accepts the countries that SMS may be sent to', () => {
  expect(readConfig({ ZITADEL_URL, SMS_COUNTRIES: 'CH, DE,AT' }).sms.countries).toEqual(['CH', 'DE', 'AT']);
});

test('accepts limits in any order, or none', () => {
  const limitsOf = (env: Record<string, string>) => readConfig({ ZITADEL_URL, ...env }).limits;

  expect(limitsOf({ SMS_LIMITS: '30/24d, 2/45s' }).smsLimits).toEqual([
    { count: 2, seconds: 45 },
    { count: 30, seconds: 2_073_600 },
  ]);
  expect(limitsOf({ SMS_BUDGET: '1000/1h' }).smsBudget).toEqual({ count: 1000, seconds: 3_600 });
  expect(limitsOf({ SMS_LIMITS: 'off', SMS_BUDGET: 'off', VERIFY_LIMIT: 'off' })).toMatchObject({
    smsLimits: [],
    smsBudget: undefined,
    verifyLimit: undefined,
  });
});

test.for(['redis://localhost', 'redis://:p%C3%A4ss@[::1]:6380/15', 'rediss://user:password@redis.example.com'])(
  'accepts %s for Redis',
  (REDIS_URL) => {
    expect(readConfig({ ZITADEL_URL, REDIS_URL }).limits.redisUrl).toEqual(new URL(REDIS_URL));
  },
);

const mistakesOf = (env: Record<string, string>): string[] => {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message.split('\n').slice(1);
  }
};

test.for([
  ['SMS_COUNTRY', 'SMS_COUNTRIES'],
  ['SMS_LIMIT', 'SMS_LIMITS'],
  ['SMS_BUGDET', 'SMS_BUDGET'],
  ['sms_limits', 'SMS_LIMITS'],
  ['SMS_VERIFY_LIMIT', 'VERIFY_LIMIT'],
  ['VERIFY_LIMITS', 'VERIFY_LIMIT'],
  ['ZITADEL_URI', 'ZITADEL_URL'],
  ['ZITADEL_TIMEOUT', 'ZITADEL_TIMEOUT_MS'],
  ['ZITADEL_TIMEOUT_SECONDS', 'ZITADEL_TIMEOUT_MS'],
  ['ZITADEL_INSTANCE', 'ZITADEL_INSTANCE_HOST'],
] as const)('rejects the unknown variable %s, and suggests %s', ([name, meant]) => {
  expect(mistakesOf({ ZITADEL_URL, [name]: 'S3CR3T' })).toEqual([
    `  ${name} is not a variable of this server; did you mean ${meant}?`,
  ]);
});

test('suggests nothing if no variable is similar to the unknown one', () => {
  expect(mistakesOf({ ZITADEL_URL, ZITADEL_MASTERKEY: 'S3CR3T', SMS_: 'S3CR3T' })).toEqual([
    '  ZITADEL_MASTERKEY is not a variable of this server',
    '  SMS_ is not a variable of this server',
  ]);
});

test('reports unknown variables together with all other mistakes', () => {
  expect(mistakesOf({ VERIFY_LIMITS: 'off', PORT: 'S3CR3T', SMS_COUNTRY: 'CH' })).toEqual([
    expect.stringMatching(/^ {2}ZITADEL_URL is required/),
    '  PORT must be a whole number from 0 to 65535',
    expect.stringMatching(/^ {2}VERIFY_LIMITS /),
    expect.stringMatching(/^ {2}SMS_COUNTRY /),
  ]);
});

test('ignores the variables of Kubernetes Services, empty ones, and those of other programs', () => {
  const ofServices = {
    ZITADEL_SERVICE_HOST: '10.0.0.1',
    ZITADEL_SERVICE_PORT: '8080',
    ZITADEL_SERVICE_PORT_HTTP2_SERVER: '8080',
    ZITADEL_PORT: 'tcp://10.0.0.1:8080',
    ZITADEL_PORT_8080_TCP: 'tcp://10.0.0.1:8080',
    ZITADEL_PORT_8080_TCP_PROTO: 'tcp',
    ZITADEL_PORT_8080_TCP_PORT: '8080',
    ZITADEL_PORT_8080_TCP_ADDR: '10.0.0.1',
    ZITADEL_LOGIN_SERVICE_HOST: '10.0.0.2',
    SMS_GATEWAY_PORT_53_UDP_ADDR: '10.0.0.3',
  };
  const others = { SMS_COUNTRY: '', SMSC_URL: 'x', TWILIO_VERIFY_SID: 'x', npm_package_name: 'x' };

  expect(readConfig({ ZITADEL_URL, ...ofServices, ...others })).toEqual(readConfig({ ZITADEL_URL }));
});

test('shows the limits in effect in the format of the variables, and no Redis password', () => {
  const effective = (env: Record<string, string>) => effectiveLimits(readConfig({ ZITADEL_URL, ...env }));

  expect(effective({})).toEqual({
    SMS_LIMITS: '1/30s,5/10m,20/24h',
    SMS_BUDGET: 'off',
    SMS_COUNTRIES: 'all',
    VERIFY_LIMIT: '5/10m',
    ZITADEL_TIMEOUT_MS: 10_000,
    sharedByRedis: false,
  });
  const set = {
    SMS_LIMITS: '2/90s,3/2d,4/24d',
    SMS_BUDGET: '1000/1h',
    SMS_COUNTRIES: 'CH,DE',
    VERIFY_LIMIT: 'off',
    ZITADEL_TIMEOUT_MS: '500',
  };
  const shown = effective({ ...set, REDIS_URL: 'redis://:S3CR3T@localhost' });
  expect(shown).toEqual({ ...set, ZITADEL_TIMEOUT_MS: 500, sharedByRedis: true });
  expect(JSON.stringify(shown)).not.toContain('S3CR3T');
});

test('lets the environment override the defaults of the demo, except with empty variables', () => {
  const defaults = { HOST: '127.0.0.1', LOG_LEVEL: 'warn' };

  const { http, log } = readConfig({ ZITADEL_URL, HOST: '', LOG_LEVEL: 'debug' }, defaults);

  expect([http.host, log.level]).toEqual(['127.0.0.1', 'debug']);
});

test.for([
  ['ZITADEL_URL', 'ftp://example.com'],
  ['ZITADEL_URL', 'https://user:S3CR3T@example.com'],
  ['ZITADEL_URL', 'https://example.com/?key=S3CR3T'],
  ['ZITADEL_URL', 'https://example.com/#S3CR3T'],
  ['ZITADEL_URL', 'example.com'],
  ['ZITADEL_URL', 'http://example.com:0'],
  ['ZITADEL_URL', ''],
  ['ZITADEL_TIMEOUT_MS', '0'],
  ['ZITADEL_TIMEOUT_MS', '1e3'],
  ['ZITADEL_TIMEOUT_MS', '300001'],
  ['ZITADEL_INSTANCE_HOST', 'a b'],
  ['ZITADEL_INSTANCE_HOST', '.'],
  ['HOST', ' '],
  ['HOST', 'http://0.0.0.0'],
  ['ZITADEL_INSTANCE_HOST', 'a\r\nb: c'],
  ['PORT', '65536'],
  ['PORT', '-1'],
  ['PORT', '80.5'],
  ['KEEP_ALIVE_TIMEOUT_MS', '0'],
  ['KEEP_ALIVE_TIMEOUT_MS', '620s'],
  ['CORS_ORIGINS', '*'],
  ['CORS_ORIGINS', 'https://*.example.com'],
  ['CORS_ORIGINS', 'https://app.example.com/'],
  ['CORS_ORIGINS', 'https://app.example.com,,'],
  ['ROUTER_SECRETS', 'S3CR3T-too-shor'],
  ['ROUTER_SECRETS', 'S3CR3T-of-the-router,'],
  ['ROUTER_SECRETS', 'S3CR3T-of-the-router,S3CR3T-too-shor'],
  ['ROUTER_SECRETS', 'S3CR3T of the router'],
  ['ROUTER_SECRETS', 'S3CR3T-für-den-router'],
  ['ROUTER_SECRETS', 'S3CR3T-of-the-router,S3CR3T-of-the-next,S3CR3T-of-the-third'],
  ['SMS_COUNTRIES', 'XX'],
  ['SMS_COUNTRIES', 'ch'],
  ['SMS_COUNTRIES', 'CHE'],
  ['SMS_COUNTRIES', '+41'],
  ['SMS_COUNTRIES', 'CH;DE'],
  ['SMS_COUNTRIES', 'CH,'],
  ['SMS_COUNTRIES', '001'],
  ['SMS_COUNTRIES', 'constructor'],
  ...[
    '0/30s',
    '1/0s',
    '1/30',
    '1/30S',
    '1/1w',
    '-1/30s',
    '1.5/30s',
    '1/1e3s',
    '1/25d',
    '1/2073601s',
    '1 / 30s',
    'OFF',
    ',',
  ].map((value) => ['SMS_LIMITS', value] as const),
  // A longer limit that allows no more, and duplicates.
  ...['5/30s,5/10m', '5/30s,3/10m', '1/60s,5/1m', '1/30s,,', 'off,1/30s', '1/30s,5/10m,4/24h'].map(
    (value) => ['SMS_LIMITS', value] as const,
  ),
  ['SMS_BUDGET', '1000'],
  ['SMS_BUDGET', '1000/1h,5000/1d'],
  ['SMS_BUDGET', '1000001/1h'],
  ['VERIFY_LIMIT', '0/10m'],
  ['VERIFY_LIMIT', '21/10m'],
  ['VERIFY_LIMIT', '3/1m,5/10m'],
  ['REDIS_URL', 'http://localhost'],
  ['REDIS_URL', 'S3CR3T.example.com:6379'],
  ['REDIS_URL', 'redis://'],
  ['REDIS_URL', 'redis://:S3CR3T@localhost/first'],
  ['REDIS_URL', 'redis://:S3CR3T%ff@localhost'],
  ['REDIS_URL', 'redis://localhost?password=S3CR3T'],
  ['MAX_TOKENS', '99'],
  ['MAX_TOKENS', '10001'],
  ['MAX_ALIASES', '0'],
  ['MAX_ALIASES', '1001'],
  ['INTROSPECTION', '1'],
  ['LOG_LEVEL', 'INFO'],
] as const)('rejects %s=%s in one line without repeating the value', ([name, value]) => {
  const message = (() => {
    try {
      readConfig({ ZITADEL_URL, [name]: value });
      return 'accepted';
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      return (error as ConfigError).message;
    }
  })();

  expect(message).toMatch(new RegExp(`^Invalid configuration:\\n {2}${name} (must be|is required).*$`));
  expect(message).not.toContain('S3CR3T');
});
