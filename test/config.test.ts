import type { PhoneNumberType } from 'libphonenumber-js/max';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { ConfigError, readConfig } from '../src/config/config.js';
import { effectiveLimits } from '../src/config/shown-config.js';

const ZITADEL_URL = 'https://example.zitadel.cloud';

test('requires only ZITADEL_URL', () => {
  const smsLimits = [
    { count: 1, seconds: 30 },
    { count: 5, seconds: 600 },
    { count: 20, seconds: 86_400 },
  ];
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
    traces: { collector: undefined, warnings: [] },
    shutdown: { delayMs: 0, timeoutMs: 25_000 },
    zitadel: {
      url: new URL(ZITADEL_URL),
      instanceHost: undefined,
      host: undefined,
      tls: { ca: undefined, cert: undefined, key: undefined },
      proxy: { url: undefined, except: undefined },
      api: 'rest',
      timeoutMs: 10_000,
    },
    sms: {
      countries: [],
      numberTypes: ['MOBILE', 'FIXED_LINE_OR_MOBILE', 'VOIP', 'PERSONAL_NUMBER', 'UNKNOWN'],
    },
    limits: {
      smsLimits,
      smsLimitsPerNumber: smsLimits,
      smsBudgets: [],
      verifyLimit: { count: 5, seconds: 600 },
      phoneHashKeys: undefined,
      redisUrl: undefined,
      redisPrefix: 'contact-phone',
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
  const countriesOf = (SMS_COUNTRIES: string) => readConfig({ ZITADEL_URL, SMS_COUNTRIES }).sms.countries;

  expect(countriesOf('CH, DE,AT')).toEqual(['CH', 'DE', 'AT']);
  expect(countriesOf('CH,001')).toEqual(['CH', '001']);
});

test('accepts each type of numbers that libphonenumber knows, and UNKNOWN', () => {
  // A new type of libphonenumber would be missing here: a compile error.
  const types = Object.keys({
    MOBILE: 1,
    FIXED_LINE_OR_MOBILE: 1,
    FIXED_LINE: 1,
    VOIP: 1,
    PERSONAL_NUMBER: 1,
    TOLL_FREE: 1,
    SHARED_COST: 1,
    PREMIUM_RATE: 1,
    PAGER: 1,
    UAN: 1,
    VOICEMAIL: 1,
    UNKNOWN: 1,
  } satisfies Record<PhoneNumberType | 'UNKNOWN', 1>);

  expect(readConfig({ ZITADEL_URL, SMS_NUMBER_TYPES: types.join(', ') }).sms.numberTypes).toEqual(types);
});

test('accepts limits in any order, or none', () => {
  const limitsOf = (env: Record<string, string>) => readConfig({ ZITADEL_URL, ...env }).limits;

  expect(limitsOf({ SMS_LIMITS: '30/24d, 2/45s' }).smsLimits).toEqual([
    { count: 2, seconds: 45 },
    { count: 30, seconds: 2_073_600 },
  ]);
  expect(limitsOf({ SMS_LIMITS: '100/1h', VERIFY_LIMIT: '100/1h' })).toMatchObject({
    smsLimits: [{ count: 100 }],
    verifyLimit: { count: 100 },
  });
  expect(limitsOf({ SMS_LIMITS: 'off', SMS_BUDGET: 'off', VERIFY_LIMIT: 'off' })).toMatchObject({
    smsLimits: [],
    smsBudgets: [],
    verifyLimit: undefined,
  });
});

test('limits SMS to one number as those to one user, unless SMS_LIMITS_PER_NUMBER is set', () => {
  const perNumber = (env: Record<string, string>) => readConfig({ ZITADEL_URL, ...env }).limits.smsLimitsPerNumber;

  expect(perNumber({ SMS_LIMITS: '2/1h' })).toEqual([{ count: 2, seconds: 3_600 }]);
  expect(perNumber({ SMS_LIMITS: 'off' })).toEqual([]);
  expect(perNumber({ SMS_LIMITS: '2/1h', SMS_LIMITS_PER_NUMBER: '3/1h' })).toEqual([{ count: 3, seconds: 3_600 }]);
  expect(perNumber({ SMS_LIMITS: '2/1h', SMS_LIMITS_PER_NUMBER: 'off' })).toEqual([]);
  expect(perNumber({ SMS_LIMITS: 'off', SMS_LIMITS_PER_NUMBER: '3/1h' })).toEqual([{ count: 3, seconds: 3_600 }]);
});

test('accepts a budget for all countries, for some, or both', () => {
  const budgetsOf = (SMS_BUDGET: string) => readConfig({ ZITADEL_URL, SMS_BUDGET }).limits.smsBudgets;
  const all = { limit: { count: 1000, seconds: 3_600 } };

  expect(budgetsOf('1000/1h')).toEqual([all]);
  expect(budgetsOf('CH:500/1h')).toEqual([{ country: 'CH', limit: { count: 500, seconds: 3_600 } }]);
  expect(budgetsOf('CH:2000/1h, 1000/1h,001:1000000/24d')).toEqual([
    { country: 'CH', limit: { count: 2000, seconds: 3_600 } },
    all,
    { country: '001', limit: { count: 1_000_000, seconds: 2_073_600 } },
  ]);
});

test('accepts a key for hashing numbers, and a prefix for the keys in Redis', () => {
  const set = { PHONE_HASH_KEY: 'sixteen-letters!', REDIS_PREFIX: 'Phones_2.eu-west' };

  expect(readConfig({ ZITADEL_URL, ...set }).limits).toMatchObject({
    phoneHashKeys: [set.PHONE_HASH_KEY],
    redisPrefix: set.REDIS_PREFIX,
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
  ['SMS_NUMBER_TYPE', 'SMS_NUMBER_TYPES'],
  ['SMS_LIMIT_PER_NUMBER', 'SMS_LIMITS_PER_NUMBER'],
  ['PHONE_HASH', 'PHONE_HASH_KEY'],
  ['PHONE_HASH_KEYS', 'PHONE_HASH_KEY'],
  ['REDIS_URI', 'REDIS_URL'],
  ['REDIS_PREFX', 'REDIS_PREFIX'],
  ['REDIS_KEY_PREFIX', 'REDIS_PREFIX'],
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
    REDIS_SERVICE_HOST: '10.0.0.4',
    REDIS_PORT: 'tcp://10.0.0.4:6379',
    REDIS_PORT_6379_TCP_ADDR: '10.0.0.4',
    REDIS_URL_SERVICE_HOST: '10.0.0.5',
    PHONE_HASH_PORT: 'tcp://10.0.0.6:80',
  };
  const others = {
    SMS_COUNTRY: '',
    SMSC_URL: 'x',
    TWILIO_VERIFY_SID: 'x',
    npm_package_name: 'x',
    REDIS_HOST: 'x',
    REDIS_USER: 'x',
    REDIS_PASSWORD: 'x',
    REDIS_DB: 'x',
    REDIS_TLS_URL: 'x',
    REDIS_VERSION: 'x',
    PHONE_NUMBER: 'x',
  };

  expect(readConfig({ ZITADEL_URL, ...ofServices, ...others })).toEqual(readConfig({ ZITADEL_URL }));
});

test('shows the limits in effect in the format of the variables, without secrets', () => {
  const effective = (env: Record<string, string>) => effectiveLimits(readConfig({ ZITADEL_URL, ...env }));

  expect(effective({})).toEqual({
    SMS_COUNTRIES: 'all',
    SMS_NUMBER_TYPES: 'MOBILE,FIXED_LINE_OR_MOBILE,VOIP,PERSONAL_NUMBER,UNKNOWN',
    SMS_LIMITS: '1/30s,5/10m,20/24h',
    SMS_LIMITS_PER_NUMBER: '1/30s,5/10m,20/24h',
    SMS_BUDGET: 'off',
    VERIFY_LIMIT: '5/10m',
    PHONE_HASH_KEY: 'unset',
    REDIS_PREFIX: 'contact-phone',
    ZITADEL_TIMEOUT_MS: 10_000,
    sharedByRedis: false,
  });
  const set = {
    SMS_LIMITS: '2/90s,3/2d,4/24d',
    SMS_LIMITS_PER_NUMBER: 'off',
    SMS_BUDGET: '1000/1h,CH:500/24h,001:1/1m',
    SMS_COUNTRIES: 'CH,DE',
    SMS_NUMBER_TYPES: 'MOBILE,UAN',
    VERIFY_LIMIT: 'off',
    REDIS_PREFIX: 'phones',
    ZITADEL_TIMEOUT_MS: '500',
  };
  const secrets = { REDIS_URL: 'redis://:S3CR3T@localhost', PHONE_HASH_KEY: 'S3CR3T-of-the-numbers' };
  const shown = effective({ ...set, ...secrets });
  expect(shown).toEqual({ ...set, PHONE_HASH_KEY: 'set', ZITADEL_TIMEOUT_MS: 500, sharedByRedis: true });
  expect(JSON.stringify(shown)).not.toContain('S3CR3T');
});

test.for([
  ['SMS_COUNTRIES', 'CH,XX', 'XX'],
  ['SMS_COUNTRIES', 'CH,DE,ch', 'ch'],
  ['SMS_COUNTRIES', 'CHE,XX', 'CHE'],
  ['SMS_COUNTRIES', 'CH,002', '002'],
  ['SMS_COUNTRIES', 'CH,', 'entry 2'],
  ['SMS_COUNTRIES', 'CH,Austria', 'entry 2'],
  ['SMS_NUMBER_TYPES', 'MOBILE,LANDLINE', 'LANDLINE'],
  ['SMS_NUMBER_TYPES', 'Mobile', 'entry 1'],
  ['SMS_BUDGET', '5/1h,CHE:5/1h', 'CHE'],
  ['SMS_BUDGET', 'CH:0/1h', 'CH'],
  ['SMS_BUDGET', 'CH:5/1h,CH:6/2h', 'CH'],
  ['SMS_BUDGET', '5/1h,DE:5/1h,6/2h', 'entry 3'],
  ['SMS_BUDGET', '5/1h,S3CR3T-key:6/2h', 'entry 2'],
  ['CORS_ORIGINS', 'https://a.example.com,b.example.com', 'entry 2'],
] as const)('names what is wrong in %s=%s: %s', ([name, value, wrong]) => {
  expect(mistakesOf({ ZITADEL_URL, [name]: value })).toEqual([
    expect.stringMatching(new RegExp(`^ {2}${name} must be .*: ${wrong} is wrong$`)),
  ]);
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
  ['CORS_ORIGINS', 'https://*:443'],
  ['CORS_ORIGINS', 'http://localhost:*/'],
  ['CORS_ORIGINS', 'http://localhost:8080:*'],
  ['CORS_ORIGINS', 'http://*:*'],
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
  ['SMS_COUNTRIES', 'S3CR3T'],
  ['SMS_COUNTRIES', 'constructor'],
  ['SMS_NUMBER_TYPES', ','],
  ['SMS_NUMBER_TYPES', 'MOBILE, FIXED_LINE_OR_MOBILE;S3CR3T'],
  ['SMS_NUMBER_TYPES', 'MOBILE S3CR3T'],
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
    '101/24h',
    ',',
  ].flatMap((value) => [['SMS_LIMITS', value] as const, ['SMS_LIMITS_PER_NUMBER', value] as const]),
  // A longer limit that allows no more, and duplicates.
  ...['5/30s,5/10m', '5/30s,3/10m', '1/60s,5/1m', '1/30s,,', 'off,1/30s', '1/30s,5/10m,4/24h'].map(
    (value) => ['SMS_LIMITS', value] as const,
  ),
  ['SMS_BUDGET', '1000'],
  ['SMS_BUDGET', '1000/1h,5000/1d'],
  ['SMS_BUDGET', '1000001/1h'],
  ['SMS_BUDGET', 'CH:1000001/1h'],
  ['SMS_BUDGET', 'XX:5/1h'],
  ['SMS_BUDGET', ':5/1h'],
  ['SMS_BUDGET', 'CH:'],
  ['SMS_BUDGET', 'CH'],
  ['SMS_BUDGET', 'CH:off'],
  ['SMS_BUDGET', 'off,CH:5/1h'],
  ['SMS_BUDGET', 'CH:DE:5/1h'],
  ['SMS_BUDGET', 'CH: 5/1h'],
  ['SMS_BUDGET', '5/1h,'],
  ['SMS_BUDGET', 'S3CR3T:5/1h'],
  ['PHONE_HASH_KEY', 'S3CR3T-too-shor'],
  ['PHONE_HASH_KEY', 'S3CR3T of the numbers'],
  ['REDIS_PREFIX', '{S3CR3T}'],
  ['REDIS_PREFIX', 'a:b'],
  ['REDIS_PREFIX', 'a b'],
  ['REDIS_PREFIX', 'a\n'],
  ['REDIS_PREFIX', 'a'.repeat(51)],
  ['VERIFY_LIMIT', '0/10m'],
  ['VERIFY_LIMIT', '101/10m'],
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

test('an origin with any port is matched character by character, whatever a host name may contain', () => {
  const { corsOrigins } = readConfig({ ZITADEL_URL: 'http://zitadel', CORS_ORIGINS: 'http://a.b+(c:*' }).http;

  const isAllowed = (origin: string) => corsOrigins.some((one) => one instanceof RegExp && one.test(origin));
  expect(isAllowed('http://a.b+(c:5173')).toBe(true);
  expect(isAllowed('http://a.bb(c:5173')).toBe(false);
  expect(isAllowed('http://axb+(c:5173')).toBe(false);
});

/** What readConfig complains about. */
function mistakesIn(env: Record<string, string>): string[] {
  try {
    readConfig({ ZITADEL_URL, ...env });
    return [];
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message.split('\n').slice(1);
  }
}

test('reads a secret from a file, without the line break at its end', () => {
  const folder = mkdtempSync(join(tmpdir(), 'contact-phone-config-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  };
  const set = {
    ROUTER_SECRETS_FILE: file('router', 'S3CR3T-of-the-router\n'),
    PHONE_HASH_KEY_FILE: file('numbers', 'S3CR3T-of-the-numbers,S3CR3T-of-new-numbers\r\n'),
    REDIS_URL_FILE: file('redis', 'redis://:S3CR3T@localhost:6379/0'),
    HTTPS_PROXY_FILE: file('proxy', 'http://user:S3CR3T@proxy.example.com:3128\n'),
  };

  const { http, limits, zitadel } = readConfig({ ZITADEL_URL, ...set });

  expect(http.routerSecrets).toEqual(['S3CR3T-of-the-router']);
  expect(limits.phoneHashKeys).toEqual(['S3CR3T-of-the-numbers', 'S3CR3T-of-new-numbers']);
  expect(limits.redisUrl?.href).toBe('redis://:S3CR3T@localhost:6379/0');
  expect(zitadel.proxy.url?.password).toBe('S3CR3T');
  expect(mistakesIn({ ...set, REDIS_URL: 'redis://:S3CR3T@localhost' })).toEqual([
    '  REDIS_URL and REDIS_URL_FILE are both set: set only one of them',
  ]);
  expect(
    mistakesIn({
      ROUTER_SECRETS_FILE: file('short', 'S3CR3T'),
      PHONE_HASH_KEY_FILE: file('empty', '\n'),
      REDIS_URL_FILE: join(folder, 'S3CR3T'),
      HTTPS_PROXY_FILE: folder,
      ZITADEL_CA_FILE: file('large', 'S3CR3T'.repeat(200_000)),
    }),
  ).toEqual([
    '  ZITADEL_CA_FILE must name a regular file of at most 1 MiB',
    '  HTTPS_PROXY_FILE must name a regular file of at most 1 MiB',
    '  PHONE_HASH_KEY_FILE must name a file that is not empty',
    '  REDIS_URL_FILE must name a file that this process can read (ENOENT)',
    '  ROUTER_SECRETS_FILE must be one secret, or two separated by a comma, each of at least 16 visible ASCII characters',
  ]);
});

test('reads the variables of proxies in lower case too, as platforms set them', () => {
  const proxyOf = (env: Record<string, string>) => readConfig({ ZITADEL_URL, ...env }).zitadel.proxy;

  expect(proxyOf({ https_proxy: 'http://proxy:3128', no_proxy: 'localhost' })).toEqual({
    url: new URL('http://proxy:3128'),
    except: 'localhost',
  });
});

test('explains a METRICS_PORT that Kubernetes has set, or that is PORT', () => {
  expect(mistakesIn({ PORT: '9090', METRICS_PORT: '9090' })).toEqual(['  METRICS_PORT must not be the same as PORT']);
  expect(mistakesIn({ PORT: '0', METRICS_PORT: '0' })).toEqual([]);
  expect(mistakesIn({ METRICS_PORT: 'tcp://10.96.0.7:9090' })).toEqual([
    '  METRICS_PORT is what Kubernetes sets for a Service of that name: set enableServiceLinks: false in the pod, or rename the Service',
  ]);
});
