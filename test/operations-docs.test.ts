import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import { parse } from 'yaml';
import { readConfig } from '../src/config/config.js';
import { tokens, users } from '../src/embedded-zitadel/population.js';
import { environment } from '../src/config/environment.js';
import { ZitadelClient } from '../src/zitadel/zitadel-client.js';
import { crowd } from './support/crowd.js';
import { openCollector } from './support/collector.js';
import { blocks, section, table } from './support/markdown.js';
import { readMetrics } from './support/metrics.js';
import { readMany, user } from './support/reads.js';
import { bearer, openStage, post, unverified } from './support/stage.js';
import { until } from './support/until.js';
import { answered } from './support/zitadel.js';

const page = readFileSync('docs/operations.md', 'utf8');

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

type Stage = Awaited<ReturnType<typeof openStage>>;

const ready = async ({ url }: Stage) => (await fetch(`${url}/health/ready`)).text();
const breakOnce = () =>
  vi.spyOn(ZitadelClient.prototype, 'getUserById').mockRejectedValueOnce(new TypeError('a fault of this server'));

test('its commands to start the server exist, with the port of the image', () => {
  const [npm = '', docker = ''] = blocks(page, 'sh');
  const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> };
  const [, exposed] = /^EXPOSE (\d+)$/m.exec(readFileSync('Dockerfile', 'utf8')) ?? [];
  const { PORT } = environment.parse({ ZITADEL_URL: 'https://example.com' });

  for (const [, name = ''] of npm.matchAll(/npm (?:run )?(build|start)/g)) expect(scripts).toHaveProperty(name);
  expect(npm).toMatch(/^npm ci && npm run build && ZITADEL_URL=\S+ npm start\n$/);
  expect(docker).toContain(` -p ${exposed}:${exposed} `);
  expect(exposed).toBe(String(PORT));
  const [, image] = /^docker build -t (\S+) \. && docker run .* (\S+)\n$/.exec(docker) ?? [];
  expect(docker.endsWith(` ${image}\n`)).toBe(true);
});

/** For each cause in the table: how the server is configured, and what happens. */
const incidents: Record<string, [env: Record<string, string>, happen: (stage: Stage) => Promise<unknown>]> = {
  'ZITADEL is down': [{ ZITADEL_URL: 'http://127.0.0.1:1' }, ({ resend }) => resend()],
  'ZITADEL fails now and then': [
    {},
    ({ zitadel, resend }) => {
      zitadel.misbehave(answered({ code: 13 }, 500));
      return resend();
    },
  ],
  'ZITADEL is too slow now and then': [
    {},
    ({ zitadel, resend }) => {
      zitadel.misbehave({ answer: { status: 504 } });
      return resend();
    },
  ],
  'The address of ZITADEL is wrong': [{ ZITADEL_INSTANCE_HOST: 'other.example.com' }, ({ resend }) => resend()],
  'Redis is down': [{ REDIS_URL: 'redis://127.0.0.1:1' }, ({ resend }) => resend()],
  'A flood of SMS': [
    { SMS_LIMITS: '1/1h' },
    async ({ resend }) => {
      await resend();
      await resend();
    },
  ],
  'A flood of wrong tokens': [{}, ({ resend }) => resend({}, bearer('made-up'))],
  'A fault in this server': [
    {},
    ({ resend }) => {
      breakOnce();
      return resend();
    },
  ],
};

const causes = table(page, 'What to look at first');

test('its table of what to look at first has a story for each cause', () => {
  expect(causes.map(([cause]) => cause)).toEqual(Object.keys(incidents));
});

test.for(causes)('%s: health, metrics and log show it as described', async ([cause = '', health = '', ...cells]) => {
  const [env, happen] = incidents[cause] ?? [{}, () => Promise.reject(new Error(cause))];
  await using stage = await openStage(env);
  await until(async () => !(await ready(stage)).includes('"unknown"'));

  await happen(stage);

  expect(await ready(stage)).toContain(health);
  const series = Object.entries(await readMetrics(stage.metricsUrl));
  const [metrics = [], logged = []] = cells.map((cell) => cell.split(', '));
  for (const metric of metrics) {
    const [, name = '', label = '', value] = /^(\w+)(?:\{(.*)\})?(?: (\d))?$/.exec(metric) ?? [];
    const found = series.filter(([key]) => key.startsWith(name) && key.includes(label)).map(([, one]) => one);
    expect(
      found.some((one) => (value === undefined ? one > 0 : one === Number(value))),
      metric,
    ).toBe(true);
  }
  for (const text of logged) expect(stage.lines.join(''), text).toContain(text);
});

test('each command of the runbook that reads the log finds something', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'contact-phone-runbook-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'log');
  const commands = blocks(section(page, 'Runbook'), 'sh').filter((command) => command.startsWith('$LOG'));
  expect(commands.length).toBeGreaterThan(5);
  await using redis = await openStage({ REDIS_URL: 'redis://127.0.0.1:1', SMS_BUDGET: '1/1h' });
  await using wrongHost = await openStage({ ZITADEL_INSTANCE_HOST: 'other.example.com' });
  await until(async () => !(await ready(wrongHost)).includes('"unknown"'));

  await redis.resend();
  await redis.run('set-contact-phone', { userId: users.phoneless.userId, number: '+41795550103' });
  await redis.run('verify-contact-phone', { userId: unverified, verificationCode: 'WRONG1' });
  breakOnce();
  await redis.resend({ userId: users.uninitialised.userId });
  writeFileSync(file, [...redis.lines, ...wrongHost.lines].join(''));

  for (const command of commands) {
    const found = execFileSync('sh', ['-euc', command], { env: { ...process.env, LOG: `cat ${file}` } });
    expect(found.toString(), command).not.toBe('');
  }
});

test('its command turns the rules into a PrometheusRule', () => {
  const [command = ''] = blocks(section(page, 'Install the alerts and the dashboard'), 'sh');
  expect(command).toMatch(/\| kubectl apply -f -\n$/);

  const applied = execFileSync('sh', ['-euc', `kubectl() { cat; }\n${command}`]).toString();

  expect(parse(applied)).toEqual({
    apiVersion: 'monitoring.coreos.com/v1',
    kind: 'PrometheusRule',
    metadata: { name: 'contact-phone-subgraph' },
    spec: parse(readFileSync('deploy/prometheus/alerts.yaml', 'utf8')) as unknown,
  });
});

test('the settings of the runbook are valid', () => {
  const settings = section(page, 'Runbook').matchAll(/`([A-Z_]+)=([^`]+)`/g);
  const env = Object.fromEntries([...settings].map(([, name = '', value = '']) => [name, value]));

  expect(Object.keys(env)).toEqual(['SMS_COUNTRIES', 'SMS_BUDGET']);
  expect(() => readConfig({ ZITADEL_URL: 'https://example.com', ...env })).not.toThrow();
});

test('all metrics that it names are served', async () => {
  await using stage = await openStage();
  const text = await (await fetch(stage.metricsUrl)).text();

  const named = [...page.matchAll(/`((?:contact_phone|nodejs|process)_\w+)[`{ ]/g)].map(([, name]) => name);
  expect(named.length).toBeGreaterThan(10);
  for (const name of named) expect(text).toContain(`# TYPE ${name} `);
});

test('the bodies of /health are as it shows them', async () => {
  const [live = '', ok = ''] = [...section(page, 'Health').matchAll(/`(\{.*?\})`/g)].map(([, body]) => body);
  const stage = await openStage({ REDIS_URL: 'redis://127.0.0.1:1', SHUTDOWN_DELAY_MS: '300000' });
  await using alone = await openStage();
  for (const one of [stage, alone]) await until(async () => (await ready(one)).includes('"zitadel":"up"'));

  expect(await (await fetch(`${stage.url}/health/live`)).text()).toBe(live);
  expect(await ready(stage)).toBe(ok.replace('"redis":"up"', '"redis":"down"'));
  expect(await ready(alone)).toBe(ok.replace(',"redis":"up"', ''));

  vi.useFakeTimers({ toFake: ['setTimeout'] });
  const closed = stage.closeServer();
  const draining = await fetch(`${stage.url}/health/ready`);
  expect(draining.status).toBe(503);
  const [, status = 'none'] = /answers 503 with\s+`(.*?)`/.exec(section(page, 'Health')) ?? [];
  expect(await draining.text()).toContain(status);
  vi.advanceTimersByTime(300_000);
  await closed;
  vi.useRealTimers();
  await stage[Symbol.asyncDispose]();
});

test('its table of log fields lists what the lines of requests contain, no more and no less', async () => {
  await using collector = await openCollector();
  const OTEL_EXPORTER_OTLP_ENDPOINT = collector.url;
  await using stage = await openStage({ SMS_LIMITS: '1/1h', PLAYGROUND: 'true', OTEL_EXPORTER_OTLP_ENDPOINT });
  const twoMutations =
    '{ a: resendContactPhoneCode(userId: "1") { verificationCode } b: removeContactPhone(userId: "1") { user { id } } }';

  await stage.resend();
  await stage.resend();
  await stage.resend({ userId: users.foreign.userId });
  await post(stage.graphql, { query: `mutation ${twoMutations}` }, bearer(tokens.manager.token));
  await readMany(
    stage.graphql,
    crowd(2).map(({ userId }) => user(userId)),
  );
  stage.zitadel.misbehave(answered({ code: 8 }, 429));
  await stage.run('contact-phone', { userId: unverified });
  stage.zitadel.misbehave({ answer: { status: 500 } });
  await stage.run('contact-phone', { userId: unverified });
  breakOnce();
  await stage.run('contact-phone', { userId: unverified });
  await post(stage.graphql, { query: 'subscription { nothing }' });
  await post(`${stage.url}/query`, {});
  const others = ['health/live', 'health/ready', 'metrics', 'playground/'];
  for (const path of others) await fetch(`${stage.url}/${path}`);

  const lines = stage.lines
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ msg }) => msg === 'request');
  expect(lines).toHaveLength(10);
  const rows = table(page, 'Logs');
  expect(new Set(lines.flatMap(Object.keys))).toEqual(new Set(rows.map(([field]) => field)));
  const levels = Object.fromEntries(
    lines.map(({ level, code, reason = '' }) => [`${String(code)} ${String(reason)}`, level]),
  );
  expect(levels).toMatchObject({
    'OK ': 'info',
    'RATE_LIMITED SMS_TO_USER': 'info',
    'RATE_LIMITED UPSTREAM_QUOTA': 'warn',
    'UPSTREAM_ERROR ': 'warn',
    'INTERNAL_SERVER_ERROR ': 'error',
  });
  const [, words = ''] = rows.find(([field]) => field === 'kind') ?? [];
  expect(new Set(lines.flatMap(({ kind }) => kind ?? []))).toEqual(
    new Set(words.match(/query|mutation|subscription/g)),
  );
});

test('its names for other schemas cover all log fields, and its example has the fields of a refused request', async () => {
  await using stage = await openStage();
  await post(`${stage.url}/query`, {});
  const line = stage.lines
    .map((one) => JSON.parse(one) as Record<string, unknown>)
    .find(({ msg }) => msg === 'request');
  const example = JSON.parse(blocks(section(page, 'Logs'), 'json')[0] ?? '') as Record<string, unknown>;

  expect(Object.keys(example)).toEqual(Object.keys(line ?? {}));
  for (const field of ['level', 'method', 'path', 'code', 'outcome', 'refusal', 'httpStatus', 'msg'])
    expect(example[field]).toBe(line?.[field]);
  for (const one of [example, line]) expect(one?.['time']).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  const names = table(page, 'Names in ECS and OpenTelemetry');
  expect(names.map(([field]) => field)).toEqual(table(page, 'Logs').map(([field]) => field));
});

test('its table of metrics matches the served ones', async () => {
  await using stage = await openStage({ SMS_LIMITS: '' });
  stage.zitadel.misbehaveWhenWriting({ reset: true });
  await stage.resend();
  await stage.resend();
  await stage.run('contact-phone', { userId: unverified });
  const text = await (await fetch(stage.metricsUrl)).text();

  const served = [...text.matchAll(/^# TYPE (contact_phone_\w+)/gm)].map(([, name = '']) => {
    const [, pairs = ''] = new RegExp(`^${name}(?:_sum)?\\{(.*)\\}`, 'm').exec(text) ?? [];
    return [name, pairs.replace(/="[^"]*"/g, '').replaceAll(',', ', ')];
  });
  expect(table(page, 'Metrics').map(([name, labels]) => [name, labels])).toEqual(served);
});

test('its settings for restarts are valid, and shut down before Kubernetes kills the process', () => {
  const text = section(page, 'Restarts without loss').replace(/\s+/g, ' ');
  const settings: Record<string, string> = Object.fromEntries(
    [...text.matchAll(/`(SHUTDOWN_\w+)=(\d+)`/g)].map(([, name = '', ms = '']) => [name, ms]),
  );
  const [, most] = /add up to less than (\d+) seconds/.exec(text) ?? [];
  const [, killed] = /kills the process after (\d+) seconds/.exec(text) ?? [];

  const { delayMs, timeoutMs } = readConfig({ ZITADEL_URL: 'https://example.com', ...settings }).shutdown;
  expect([delayMs, timeoutMs]).toEqual(Object.values(settings).map(Number));
  expect(delayMs + timeoutMs).toBeLessThan(Number(most) * 1000);
  // The last steps may take three seconds: see test/shutdown.test.ts.
  expect(Number(most) + 3).toBeLessThanOrEqual(Number(killed));
});
