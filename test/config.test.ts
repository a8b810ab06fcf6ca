import { expect, test } from 'vitest';
import { ConfigError, readConfig } from '../src/config.js';

const ZITADEL_URL = 'https://example.zitadel.cloud';

test('needs nothing but ZITADEL_URL', () => {
  expect(readConfig({ ZITADEL_URL, PATH: '/usr/bin' })).toEqual({
    http: { host: '0.0.0.0', port: 4001, corsOrigins: [], routerSecrets: [], bodyLimitBytes: 1_048_576 },
    graphql: { introspection: false },
    playground: false,
    metrics: { port: undefined },
    traces: { endpoint: undefined },
    shutdown: { delayMs: 0, timeoutMs: 25_000 },
    zitadel: { url: new URL(ZITADEL_URL), instanceHost: undefined, timeoutMs: 10_000 },
    sms: { countries: [] },
    guard: {
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

test('takes an empty variable for one that is not set', () => {
  expect(readConfig({ ZITADEL_URL, PORT: '', LOG_LEVEL: '', ZITADEL_INSTANCE_HOST: '' })).toEqual(
    readConfig({ ZITADEL_URL }),
  );
});

test('takes one secret of the router, or two during a rotation', () => {
  const secretsOf = (ROUTER_SECRETS: string) => readConfig({ ZITADEL_URL, ROUTER_SECRETS }).http.routerSecrets;

  expect(secretsOf('sixteen-letters!')).toEqual(['sixteen-letters!']);
  expect(secretsOf('the-old-secret-of-it, the-new-secret-of-it')).toEqual([
    'the-old-secret-of-it',
    'the-new-secret-of-it',
  ]);
});

test('takes the countries that SMS may be sent to', () => {
  expect(readConfig({ ZITADEL_URL, SMS_COUNTRIES: 'CH, DE,AT' }).sms.countries).toEqual(['CH', 'DE', 'AT']);
});

test('takes limits in any order, or none', () => {
  const guardOf = (env: Record<string, string>) => readConfig({ ZITADEL_URL, ...env }).guard;

  expect(guardOf({ SMS_LIMITS: '30/24d, 2/45s' }).smsLimits).toEqual([
    { count: 2, seconds: 45 },
    { count: 30, seconds: 2_073_600 },
  ]);
  expect(guardOf({ SMS_BUDGET: '1000/1h' }).smsBudget).toEqual({ count: 1000, seconds: 3_600 });
  expect(guardOf({ SMS_LIMITS: 'off', SMS_BUDGET: 'off', VERIFY_LIMIT: 'off' })).toMatchObject({
    smsLimits: [],
    smsBudget: undefined,
    verifyLimit: undefined,
  });
});

test.for(['redis://localhost', 'redis://:p%C3%A4ss@[::1]:6380/15', 'rediss://user:password@redis.example.com'])(
  'takes %s for Redis',
  (REDIS_URL) => {
    expect(readConfig({ ZITADEL_URL, REDIS_URL }).guard.redisUrl).toEqual(new URL(REDIS_URL));
  },
);

test('lets the environment override the defaults of the demo, save with nothing', () => {
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
  // A longer one that allows no more, and the same one twice.
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
  ['INTROSPECTION', '1'],
  ['LOG_LEVEL', 'INFO'],
] as const)('refuses %s=%s in one line that does not repeat it', ([name, value]) => {
  const message = (() => {
    try {
      readConfig({ ZITADEL_URL, [name]: value });
      return 'accepted';
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      return (error as ConfigError).message;
    }
  })();

  expect(message).toMatch(new RegExp(`^The configuration cannot be used:\\n {2}${name} (must be|is required).*$`));
  expect(message).not.toContain('S3CR3T');
});
