import { Gauge, register } from 'prom-client';
import { afterEach, expect, onTestFinished, test, vi } from 'vitest';
import type { Misbehaviour } from '../src/embedded-zitadel/embedded-zitadel.js';
import { users } from '../src/embedded-zitadel/population.js';
import { version } from '../src/version.js';
import { crowd } from './support/crowd.js';
import { gate } from './support/gate.js';
import { hasRedis } from './support/has-redis.js';
import { readMetrics } from './support/metrics.js';
import { readMany, user } from './support/reads.js';
import { startRedis } from './support/redis.js';
import { openSocket, refusesConnections } from './support/sockets.js';
import { manager, openStage, post, unverified } from './support/stage.js';
import { until } from './support/until.js';
import { answered } from './support/zitadel.js';

afterEach(() => {
  vi.useRealTimers();
});

/** The series of one metric, by their labels. */
const ofName = (series: Record<string, number>, name: string) =>
  Object.fromEntries(
    Object.entries(series).flatMap(([key, value]) => {
      const [, labels] = new RegExp(`^contact_phone_${name}(?:\\{(.*)\\})?$`).exec(key) ?? [];
      return key.startsWith(`contact_phone_${name}`) && (labels !== undefined || key === `contact_phone_${name}`)
        ? [[labels ?? '', value]]
        : [];
    }),
  );

/** Without the series that are still 0. */
const counted = (series: Record<string, number>) =>
  Object.fromEntries(Object.entries(series).filter(([, value]) => value > 0));

test('counts requests, calls, SMS and batches in agreement with ZITADEL', async () => {
  await using stage = await openStage({ SMS_LIMITS: '', SMS_BUDGET: '2/1h' }, { moreUsers: crowd(150) });
  const { zitadel, graphql } = stage;

  await stage.resend();
  await stage.resend();
  await stage.resend({ userId: users.verified.userId });
  await stage.resend({ userId: unverified, mode: 'RETURN_CODE' });
  zitadel.misbehaveWhenWriting({ reset: true });
  await stage.run('set-contact-phone', { userId: users.phoneless.userId, number: '+41 79 555 01 03' });
  await stage.run('set-contact-phone', { userId: users.phoneless.userId, number: '+41 79 555 01 04' });
  await stage.resend({ userId: users.foreign.userId });
  zitadel.misbehave({ answer: { status: 503 } }, { answer: { status: 799 } });
  await readMany(
    graphql,
    crowd(150).map(({ userId }) => user(userId)),
  );
  await post(graphql, { query: 'query { a: contactPhone(userId: "1") { number } __typename }' }, manager);
  await post(graphql, { query: '{ ...a } fragment a on Query { __typename }' });
  await post(graphql, { query: 'query made_up_by_the_client { __typename }' });
  await post(graphql, { query: 'subscription { made_up_by_the_client }' });
  await post(graphql, '{');
  await fetch(`${stage.url}/nothing`);
  await fetch(`${stage.url}/health/live`);

  const series = await readMetrics(stage.metricsUrl);
  expect(counted(ofName(series, 'requests_total'))).toEqual({
    'field="resendContactPhoneCode",code="OK"': 2,
    'field="resendContactPhoneCode",code="RATE_LIMITED"': 1,
    'field="resendContactPhoneCode",code="FORBIDDEN"': 1,
    'field="resendContactPhoneCode",code="FAILED_PRECONDITION"': 1,
    'field="setContactPhone",code="UPSTREAM_UNAVAILABLE"': 1,
    'field="setContactPhone",code="RATE_LIMITED"': 1,
    'field="_entities",code="UPSTREAM_ERROR"': 1,
    'field="several",code="NOT_FOUND"': 1,
    'field="several",code="OK"': 1,
    'field="__typename",code="OK"': 1,
    'field="none",code="OPERATION_RESOLUTION_FAILURE"': 1,
    'field="none",code="BAD_REQUEST"': 2,
  });
  expect(ofName(series, 'request_duration_seconds_count')['field="resendContactPhoneCode"']).toBe(5);
  const totalMs = stage.lines.map((line) => (JSON.parse(line) as { totalMs?: number }).totalMs ?? 0);
  const sum = (counts: Record<string, number>) => Object.values(counts).reduce((total, count) => total + count, 0);
  expect(sum(ofName(series, 'request_duration_seconds_sum'))).toBeCloseTo(
    totalMs.reduce((total, ms) => total + ms, 0) / 1000,
  );
  const calls = counted(ofName(series, 'upstream_calls_total'));
  expect(calls).toEqual({
    'rpc="ResendPhoneCode",status="200",code="OK"': 2,
    'rpc="ResendPhoneCode",status="400",code="FAILED_PRECONDITION"': 1,
    'rpc="SetPhone",status="none",code="UPSTREAM_UNAVAILABLE"': 1,
    'rpc="ListUsers",status="503",code="UPSTREAM_UNAVAILABLE"': 1,
    'rpc="ListUsers",status="other",code="UPSTREAM_ERROR"': 1,
    'rpc="ListUsers",status="200",code="OK"': 1,
    // The user is read before each SMS, even one that the limits then refuse.
    'rpc="GetUserByID",status="200",code="OK"': 5,
    'rpc="GetUserByID",status="404",code="FORBIDDEN"': 1,
    'rpc="GetUserByID",status="404",code="NOT_FOUND"': 1,
  });
  expect(sum(calls)).toBe(zitadel.calls.length);
  expect(sum(ofName(series, 'upstream_call_duration_seconds_count'))).toBe(zitadel.calls.length);
  expect(counted(ofName(series, 'sms_sent_total'))).toEqual({
    'outcome="DONE",country="CH"': 1,
    'outcome="UNKNOWN",country="CH"': 1,
  });
  expect(zitadel.outbox).toHaveLength(2);
  expect(counted(ofName(series, 'limited_total'))).toEqual({ 'reason="SMS_TO_USER"': 1, 'reason="SMS_BUDGET"': 1 });
  // The read of a hundred that got a 503 was repeated.
  expect(ofName(series, 'batch_size_bucket')).toMatchObject({ 'le="1"': 7, 'le="50"': 8, 'le="100"': 10 });
  expect(ofName(series, 'batch_size_sum')).toEqual({ '': 257 });
  expect(series['process_cpu_seconds_total']).toBeGreaterThan(0);
  expect(JSON.stringify(series)).not.toContain('made_up');
});

test('serves every series from the start, whatever happens later', async () => {
  await using stage = await openStage({ SMS_LIMITS: '', VERIFY_LIMIT: '' });
  const { zitadel, graphql } = stage;
  const ours = (series: Record<string, number>) =>
    Object.keys(series).filter((key) => key.startsWith('contact_phone_') && !key.includes('_up'));
  const before = ours(await readMetrics(stage.metricsUrl));
  const answers: Misbehaviour[] = [
    ...[200, 204, 302, 400, 403, 404, 418, 429, 500, 502, 503, 504, 521, 599, 799].map((status) => ({
      answer: { status },
    })),
    ...[1, 2, 3, 5, 7, 8, 9, 13, 14, 16, 77].flatMap((code) => [answered({ code }, 400), answered({ code }, 503)]),
    answered({}),
    { reset: true },
  ];

  for (const answer of answers) {
    zitadel.misbehaveWhenWriting(answer);
    await stage.resend({ mode: 'RETURN_CODE' });
    zitadel.misbehaveWhenWriting(answer);
    await stage.run('verify-contact-phone', { userId: unverified, verificationCode: 'WRONG1' });
    zitadel.misbehave(answer);
    await stage.run('contact-phone', { userId: unverified });
  }
  await stage.resend();
  await stage.resend();
  await post(graphql, { query: 'subscription { nothing }' });
  await post(graphql, { query: 'query ($id: ID!) { contactPhone(userId: $id) { number } }', variables: {} });
  await post(graphql, { query: '{ _service { sdl } __schema { description } }' });
  for (const body of ['{', {}, { query: '{' }, { query: '{ nothing }' }]) await post(graphql, body);
  await post(graphql, { extensions: { persistedQuery: { version: 1, sha256Hash: 'a'.repeat(64) } } });

  const series = await readMetrics(stage.metricsUrl);
  expect(ours(series)).toEqual(before);
  expect(Object.keys(counted(ofName(series, 'upstream_calls_total'))).length).toBeGreaterThan(40);
  expect(ofName(series, 'build_info')).toEqual({ [`version="${version}",node="${process.version}"`]: 1 });
});

test('counts SMS by country, from zero for those in SMS_COUNTRIES', async () => {
  await using stage = await openStage({ SMS_COUNTRIES: 'AT,DE,CH' });
  const { userId } = users.phoneless;
  const smsSent = async () => ofName(await readMetrics(stage.metricsUrl), 'sms_sent_total');
  expect(await smsSent()).toEqual({
    'outcome="DONE",country="AT"': 0,
    'outcome="UNKNOWN",country="AT"': 0,
    'outcome="DONE",country="DE"': 0,
    'outcome="UNKNOWN",country="DE"': 0,
    'outcome="DONE",country="CH"': 0,
    'outcome="UNKNOWN",country="CH"': 0,
  });

  await stage.resend();
  await stage.resend({ mode: 'RETURN_CODE' });
  await stage.run('set-contact-phone', { userId, number: '+4915112345678', mode: 'MARK_VERIFIED' });
  await stage.run('set-contact-phone', { userId, number: '+33612345678' });
  stage.zitadel.misbehaveWhenWriting({ reset: true });
  await stage.run('set-contact-phone', { userId, number: '+43664123456' });

  expect(await smsSent()).toEqual({
    'outcome="DONE",country="AT"': 0,
    'outcome="UNKNOWN",country="AT"': 1,
    'outcome="DONE",country="DE"': 0,
    'outcome="UNKNOWN",country="DE"': 0,
    'outcome="DONE",country="CH"': 1,
    'outcome="UNKNOWN",country="CH"': 0,
  });
});

test('counts SMS by country, from zero for all countries if SMS_COUNTRIES is empty', async () => {
  await using stage = await openStage();
  const smsSent = async () => ofName(await readMetrics(stage.metricsUrl), 'sms_sent_total');
  const before = await smsSent();
  expect(Object.keys(before).length).toBeGreaterThan(400);
  expect(counted(before)).toEqual({});

  await stage.resend();
  await stage.run('set-contact-phone', { userId: unverified, number: '+4915112345678' });
  await stage.resend();

  const after = await smsSent();
  expect(counted(after)).toEqual({ 'outcome="DONE",country="CH"': 1, 'outcome="DONE",country="DE"': 2 });
  expect(Object.keys(after)).toEqual(Object.keys(before));
});

test('counts SMS to numbers without a country as 001', async () => {
  await using stage = await openStage({ SMS_COUNTRIES: '001' });

  await stage.run('set-contact-phone', { userId: unverified, number: '+870773111632' });
  await stage.resend();

  expect(ofName(await readMetrics(stage.metricsUrl), 'sms_sent_total')).toEqual({
    'outcome="DONE",country="001"': 2,
    'outcome="UNKNOWN",country="001"': 0,
  });
});

test('reports how many requests are in flight', async () => {
  await using stage = await openStage();
  const answering = gate();
  stage.zitadel.misbehave({ hold: answering.opened }, { hold: answering.opened });
  const inFlight = async () => ofName(await readMetrics(stage.metricsUrl), 'requests_in_flight')[''];

  const calls = [stage.resend(), stage.resend()];
  await stage.zitadel.called(2);
  expect(await inFlight()).toBe(2);
  answering.open();
  await Promise.all(calls);

  expect(await inFlight()).toBe(0);
});

/** The states that `/health/ready` reports, and what the gauges show of them. */
const readStates = async ({ url, metricsUrl }: { url: string; metricsUrl: string }) => {
  const { status, ...reported } = (await (await fetch(`${url}/health/ready`)).json()) as Record<string, string>;
  const series = await readMetrics(metricsUrl);
  const shown = { zitadel: series['contact_phone_zitadel_up'], redis: series['contact_phone_redis_up'] };
  return { status, reported, shown };
};

test('shows whether ZITADEL is up, and nothing until that is known', async () => {
  // The first probe must not time out.
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout'] });
  await using other = await openStage();
  await other.zitadel.probed(1);
  const answering = gate();
  other.zitadel.misbehaveWhenProbed({ hold: answering.opened });
  await using stage = await openStage({ ZITADEL_URL: other.zitadel.url });
  await other.zitadel.probed(2);

  expect(await readStates(stage)).toEqual({ status: 'ok', reported: { zitadel: 'unknown' }, shown: {} });
  answering.open();
  await until(async () => (await readStates(stage)).reported['zitadel'] === 'up');
  expect((await readStates(stage)).shown).toEqual({ zitadel: 1 });

  for (const [misbehaviour, state, up] of [
    [answered({ code: 14 }, 503), 'down', 0],
    [answered({ code: 16 }, 401), 'up', 1],
    [answered({ code: 5 }, 404), 'misconfigured', 0],
  ] as const) {
    other.zitadel.misbehaveWhenProbed(misbehaviour);
    vi.advanceTimersByTime(30_000);
    // A scrape starts a probe that is due, so the gauge needs no readiness checks.
    await until(async () => (await readMetrics(stage.metricsUrl))['contact_phone_zitadel_up'] === up);
    expect((await readStates(stage)).reported).toEqual({ zitadel: state });
  }
});

test.runIf(hasRedis)('shows whether Redis is up', async () => {
  await using redis = await startRedis();
  await using stage = await openStage({ REDIS_URL: redis.url });

  expect(await readStates(stage)).toMatchObject({ reported: { redis: 'up' }, shown: { redis: 1 } });
  await redis.stop();
  await until(async () => (await readStates(stage)).shown.redis === 0);
  expect(await readStates(stage)).toMatchObject({ status: 'ok', reported: { redis: 'down' } });
});

test('serves metrics only on METRICS_PORT if it is set', async () => {
  await using stage = await openStage({ METRICS_PORT: '0' });
  await stage.resend();

  expect(new URL(stage.metricsUrl).port).not.toBe(new URL(stage.url).port);
  expect(counted(ofName(await readMetrics(stage.metricsUrl), 'requests_total'))).toEqual({
    'field="resendContactPhoneCode",code="OK"': 1,
  });
  expect((await fetch(`${stage.url}/metrics`)).status).toBe(404);
  expect((await fetch(new URL('/graphql', stage.metricsUrl), { method: 'POST' })).status).toBe(404);
  const unused = await openSocket(stage.metricsUrl);
  await stage.closeServer();
  await refusesConnections(stage.metricsUrl);
  unused.destroy();
});

test.for([
  ['PORT', {}],
  ['METRICS_PORT', { METRICS_PORT: '0' }],
] as const)('logs why a scrape failed on %s, and reveals nothing', async ([, env]) => {
  await using stage = await openStage(env);
  const name = 'broken';
  onTestFinished(() => register.removeSingleMetric(name));
  new Gauge({
    name,
    help: 'Fails.',
    collect() {
      throw new TypeError('a broken gauge');
    },
  });

  const response = await fetch(stage.metricsUrl);

  expect(response.status).toBe(500);
  expect(await response.text()).toBe(
    '{"errors":[{"message":"Something went wrong in this server. The change may have been made anyway.","extensions":{"code":"INTERNAL_SERVER_ERROR","outcome":"UNKNOWN"}}]}\n',
  );
  const faults = stage.lines.filter((line) => line.includes('Unexpected error'));
  expect(faults).toHaveLength(1);
  expect(JSON.parse(String(faults))).toMatchObject({ level: 'error', err: { message: 'a broken gauge' } });
});
