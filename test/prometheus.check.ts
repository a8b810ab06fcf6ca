import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { failingUsers } from '../src/embedded-zitadel/failing-users.js';
import { users } from '../src/embedded-zitadel/population.js';
import { startChild } from './support/child.js';
import { crowd } from './support/crowd.js';
import { blocks } from './support/markdown.js';
import { alertsFile, queries, rules } from './support/monitoring.js';
import { listening, main } from './support/production.js';
import { promtool, startPrometheus } from './support/prometheus.js';
import { startRedis } from './support/redis.js';
import { bearer, post, resend, run, unverified } from './support/stage.js';
import { until } from './support/until.js';

const stories = 'deploy/prometheus/alerts.test.yaml';

test('promtool accepts the rules and the example configuration', () => {
  expect(promtool('check', 'config', 'deploy/prometheus/prometheus.yaml')).toContain(`${rules.length} rules found`);
});

test('each alert fires when it should, and stays silent when it should', () => {
  promtool('test', 'rules', stories);
});

test('each alert has a story in which it fires, and one in which it stays silent', () => {
  const { tests } = parse(readFileSync(stories, 'utf8')) as {
    tests: {
      promql_expr_test?: { exp_samples: { labels: string }[] }[];
      alert_rule_test?: { alertname: string; exp_alerts: unknown[] }[];
    }[];
  };
  const fires = tests
    .flatMap(({ promql_expr_test = [] }) => promql_expr_test)
    .flatMap(({ exp_samples }) => exp_samples)
    .map(({ labels }) => /alertname="(\w+)", severity="(\w+)"/.exec(labels)?.slice(1).join(' '));
  const isSilent = tests
    .flatMap(({ alert_rule_test = [] }) => alert_rule_test)
    .flatMap(({ alertname, exp_alerts }) => (exp_alerts.length === 0 ? alertname : []));

  expect(new Set(fires)).toEqual(new Set(rules.map(({ alert, labels }) => `${alert} ${labels.severity}`)));
  expect(new Set(isSilent)).toEqual(new Set(rules.map(({ alert }) => alert)));
});

const manyUsers = crowd(130).map((user) => ({ ...user, phone: { ...user.phone, isVerified: false } }));

/** Runs a task for each item, twenty at a time. */
async function forEach<Item>(items: readonly Item[], task: (item: Item) => Promise<unknown>): Promise<void> {
  for (let from = 0; from < items.length; from += 20) await Promise.all(items.slice(from, from + 20).map(task));
}

const times = (count: number) => Array.from({ length: count }, (_, index) => index);
const guess = (url: string, userId: string) =>
  run(`${url}/graphql`, 'verify-contact-phone', { userId, verificationCode: 'WRONG1' });
const read = (url: string, userId: string = unverified, headers?: Record<string, string>) =>
  run(`${url}/graphql`, 'contact-phone', { userId }, headers);

/** Each kind of failure that the demo has, and what its limits and its budget refuse. */
async function useDemo(url: string, often: number): Promise<void> {
  const { slow, unavailable, lost, limited } = failingUsers;
  await Promise.all([
    // Five are more than one in a hundred calls.
    ...times(5).map(() => resend(url, { userId: slow.userId, mode: 'RETURN_CODE' })),
    ...[unavailable, lost, limited].map(({ userId }) => resend(url, { userId })),
  ]);
  await resend(url);
  await resend(url);
  await run(`${url}/graphql`, 'remove-contact-phone', { userId: users.verified.userId });
  await forEach(times(7), () => guess(url, unverified));
  // The budget is used up.
  await run(`${url}/graphql`, 'set-contact-phone', { userId: users.phoneless.userId, number: '+41795550103' });
  await forEach(times(often), () => read(url, unavailable.userId));
  await forEach(times(3 * often), () => read(url, unverified, bearer('made-up')));
  await forEach(times(3 * often), () => post(`${url}/query`, {}));
  await forEach(times(10), () => post(`${url}/graphql`, { query: '{ nothing }' }));
}

/** Sends an SMS and a wrong code for each of these users; then one right code. */
async function useProduction(urls: string[], some: typeof manyUsers): Promise<void> {
  const urlOf = (index: number) => urls[index % urls.length] ?? '';
  await forEach([...some.entries()], ([index, { userId }]) => resend(urlOf(index), { userId }));
  await forEach([...some.entries()].slice(0, 115), ([index, { userId }]) => guess(urlOf(index), userId));
  const { data } = await resend(urlOf(0), { userId: unverified, mode: 'RETURN_CODE' });
  const verificationCode = data?.resendContactPhoneCode?.verificationCode;
  await run(`${urlOf(0)}/graphql`, 'verify-contact-phone', { userId: unverified, verificationCode });
}

test('a real Prometheus answers every query of the dashboard, and raises the alerts, while everything fails', async () => {
  await using redis = await startRedis();
  await using zitadel = await startEmbeddedZitadel({ moreUsers: manyUsers });
  const start = async (script: string, env: Record<string, string>) => {
    const server = startChild([script], { PORT: '0', HOST: '127.0.0.1', ...env });
    const [, url = ''] = await server.printed(listening);
    return { server, url };
  };
  const production = { ZITADEL_URL: zitadel.url, REDIS_URL: redis.url, PHONE_HASH_KEY: 'the-same-in-all-processes' };
  const [demo, one, other] = await Promise.all([
    // The slow user must be slower than ContactPhoneZitadelSlow allows.
    start('dist/demo.js', { ZITADEL_TIMEOUT_MS: '3000', SMS_BUDGET: '2/1h' }),
    start(main, production),
    start(main, production),
  ]);
  const urls = [one.url, other.url];
  // Otherwise each alert would have to last for minutes.
  const impatient = readFileSync(alertsFile, 'utf8').replace(/^ +for: .*\n/gm, '');
  await using prometheus = await startPrometheus({ demo: [demo.url], production: urls }, impatient);

  // A counter only grows from its first scrape on.
  await useDemo(demo.url, 1);
  await useProduction(urls, manyUsers.slice(0, 10));
  const isScraped = async (expression: string) => (await prometheus.query(expression)).length > 0;
  await until(() => isScraped('contact_phone_limited_total{reason="SMS_BUDGET"} > 0'));
  await until(() => isScraped('contact_phone_upstream_calls_total{job="production",rpc="VerifyPhone",code="OK"} > 0'));
  await useDemo(demo.url, 25);
  await useProduction(urls, manyUsers.slice(10));
  const doneAt = Date.now() / 1000;
  let scrapedAt = 0;
  await until(async () => {
    scrapedAt = Date.now() / 1000;
    const times = await prometheus.query('timestamp(contact_phone_requests_in_flight)', scrapedAt);
    return times.length === 3 && times.every(({ value: [, time] }) => Number(time) > doneAt);
  });

  const questions = [
    ...queries,
    ...blocks(readFileSync('docs/operations.md', 'utf8'), 'promql').map((query) => ['the runbook', query] as const),
  ];
  for (const [title, query] of questions) {
    const expression = query.replaceAll('$__rate_interval', '10m').replaceAll('$job', 'demo|production');
    const series = await prometheus.query(expression, scrapedAt);
    expect(
      series.some(({ value: [, value] }) => value !== 'NaN'),
      `${title}: ${expression}`,
    ).toBe(true);
  }

  const fires = async (...expected: string[]) => {
    let firing: string[] = [];
    await until(async () => {
      const alerts = (await prometheus.alerts()).filter(({ state }) => state === 'firing');
      firing = alerts.map(({ labels }) => `${labels['alertname']} ${labels['job'] ?? ''}`.trim());
      // Prometheus would put an error of the template into the text.
      for (const { annotations } of alerts) expect(annotations['description']).not.toMatch(/[<{}]/);
      return expected.every((alert) => firing.includes(alert));
    });
    expect(firing).toEqual(expect.arrayContaining(expected));
  };
  await fires(
    ...['RequestsFail', 'ZitadelSlow', 'RequestsRefused', 'SmsBudgetFull'].map((name) => `ContactPhone${name} demo`),
    ...['CodesUnused production', 'WrongCodes production'].map((name) => `ContactPhone${name}`),
  );
  await redis.stop();
  await fires('ContactPhoneRedisDown production');
  other.server.kill('SIGKILL');
  await fires('ContactPhoneProcessDown production');
  await zitadel[Symbol.asyncDispose]();
  await read(one.url);
  await fires('ContactPhoneZitadelDown production');
  for (const { server } of [demo, one]) server.kill('SIGKILL');
  await fires('ContactPhoneDown');
});
