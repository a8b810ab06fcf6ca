import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { Misbehaviour } from '../src/embedded-zitadel/embedded-zitadel.js';
import { Failure } from '../src/failure.js';
import { failureOf } from '../src/failures.js';
import { changeResponse, codeResponse } from '../src/zitadel/messages.js';
import { ZitadelClient } from '../src/zitadel/zitadel-client.js';
import { stopClock } from './support/clock.js';
import { cases, originalOf, trio, type Row } from './support/failed-calls.js';
import { readMetrics } from './support/metrics.js';
import { readMany, user } from './support/reads.js';
import { overConnect, type Call } from './support/recorded-answers.js';
import { shareStage } from './support/shared-stage.js';
import { openStage, unverified, type GraphQLAnswer } from './support/stage.js';
import { answered } from './support/zitadel.js';

// What each kind of failed call means: to the client, in the log, and for the limits.

type Stage = Awaited<ReturnType<typeof openStage>>;
type Asked = Promise<GraphQLAnswer<unknown>>;

/** Runs the field that makes this call. */
const ask: Record<Call, (stage: Stage) => Asked> = {
  SetPhone: (stage) => stage.run('set-contact-phone', { userId: unverified, number: '+41795550101' }),
  ResendPhoneCode: (stage) => stage.resend(),
  VerifyPhone: (stage) => stage.run('verify-contact-phone', { userId: unverified, verificationCode: 'S3CR3T' }),
  RemovePhone: (stage) => stage.run('remove-contact-phone', { userId: unverified }),
  GetUserByID: (stage) => stage.run('contact-phone', { userId: unverified }),
  ListUsers: (stage) => readMany(stage.graphql, [user(unverified), user('1')]),
};

type Expected = Omit<Row, 'recorded' | 'on' | 'only'>;

const isConnect = process.env['TEST_ZITADEL_API'] === 'connect';

const sendsSms = (call: Call) => call === 'SetPhone' || call === 'ResendPhoneCode';
const isRead = (call: Call) => call === 'GetUserByID' || call === 'ListUsers';

/** Makes this happen to the call itself, not to the read before an SMS. */
function misbehave({ zitadel }: Stage, call: Call, ...on: Misbehaviour[]): void {
  zitadel.calls.length = 0;
  zitadel.misbehave(...(sendsSms(call) ? [{ hold: Promise.resolve() }] : []), ...on);
}

/** Checks the error in the answer to a call, and the line that was logged for it. */
async function expectFailure(stage: Stage, call: Call, expected: Expected, answer: Asked, original?: object) {
  const { is, outcome, level, argument, retryAfter, hint } = expected;
  const { status, errors: [error] = [] } = await answer;
  const extensions = {
    ...is,
    ...(isRead(call) ? { userId: unverified } : { outcome }),
    ...(argument && { argument }),
    ...(retryAfter !== undefined && { retryAfter }),
    // The only attempt that VERIFY_LIMIT allows here.
    ...(is.code === 'INVALID_VERIFICATION_CODE' && { attemptsLeft: 0 }),
    ...(original && { zitadel: original }),
  };
  expect(status, call).toBe(200);
  expect(error?.extensions, call).toEqual(extensions);
  expect(error?.message.includes(' may have been made'), call).toBe(!isRead(call) && outcome === 'UNKNOWN');
  const line = lastRequestIn(stage);
  expect(line, call).toMatchObject({ level, ...is, ...(!isRead(call) && { outcome }) });
  expect(line.err === undefined, call).toBe(level === 'info');
  expect(/usually.*/.exec(line.err?.message ?? '')?.[0], call).toBe(hint);
}

const lastRequestIn = ({ lines }: Stage) =>
  JSON.parse(lines.findLast((line) => line.includes('"msg":"request"')) ?? '') as { err?: { message: string } };

const smsCountedBy = async (stage: Stage) =>
  Object.fromEntries(
    Object.entries(await readMetrics(`${stage.url}/metrics`)).filter(
      ([name, count]) => name.startsWith('contact_phone_sms_sent_total{') && count > 0,
    ),
  );

/** Checks what a write counted as: for an SMS in the metric, and by what is refused next. */
async function expectCount(
  stage: Stage,
  call: Call,
  { outcome, isGuess }: Pick<Row, 'outcome' | 'isGuess'>,
  before: Record<string, number> = {},
) {
  if (call === 'RemovePhone') return;
  const isVerification = call === 'VerifyPhone';
  const isUnknown = outcome === 'UNKNOWN';
  if (!isVerification) {
    const unknown = 'contact_phone_sms_sent_total{outcome="UNKNOWN",country="CH"}';
    const counted = isUnknown ? { [unknown]: (before[unknown] ?? 0) + 1 } : {};
    expect(await smsCountedBy(stage), call).toEqual({ ...before, ...counted });
  }
  const { errors } = await ask[isVerification ? call : 'ResendPhoneCode'](stage);
  const [reason, retryAfter] = isVerification ? ['WRONG_CODES', isGuess ? 600 : 60] : ['SMS_TO_USER', 3600];
  const refusal = { code: 'RATE_LIMITED', reason, outcome: 'NOT_DONE', retryAfter };
  const isRefused = isUnknown || (isVerification && isGuess);
  if (isRefused) expect(errors?.[0]?.extensions, call).toEqual(refusal);
  else expect(errors?.[0]?.extensions.code, call).not.toBe('RATE_LIMITED');
}

const hour = 3_600_000;

const openLimited = (env = {}) => openStage({ SMS_LIMITS: '1/1h', VERIFY_LIMIT: '1/10m', ...env });

describe('a failed call', () => {
  // The clock stands still until a story moves it.
  beforeAll(() => void vi.useFakeTimers({ toFake: ['Date', 'performance'] }));
  afterAll(() => void vi.useRealTimers());
  const shared = shareStage({ SMS_LIMITS: '1/1h', VERIFY_LIMIT: '1/10m' });

  test.for(cases)('is classified: %s', async ([, calls, row, on]) => {
    const answer = isConnect && 'answer' in on ? { answer: overConnect(on.answer) } : on;
    const stage = shared();
    // Nothing counts any more that an earlier story sent or tried.
    vi.advanceTimersByTime(2 * hour);
    for (const call of calls) {
      const counted = await smsCountedBy(stage);
      // Some reads are repeated.
      misbehave(stage, call, ...(isRead(call) ? [answer, answer] : [answer]));
      await expectFailure(
        stage,
        call,
        row,
        ask[call](stage),
        'answer' in on ? originalOf(on.answer, row.is.code) : undefined,
      );
      if (isRead(call)) {
        // This uses up the second answer.
        if (stage.zitadel.calls.length === 1) await ask[call](stage);
        continue;
      }
      const before = sendsSms(call) ? ['GetUserByID'] : [];
      const explanation = row.isAmbiguous && !sendsSms(call) ? ['GetUserByID'] : [];
      expect(stage.rpcs(), call).toEqual([...before, call, ...explanation]);
      await expectCount(stage, call, row, counted);
    }
  });
});

test('a call that is not answered in time is classified too', async () => {
  for (const call of trio) {
    await using stage = await openLimited({ ZITADEL_TIMEOUT_MS: '300000' });
    misbehave(stage, call, { hold: new Promise(() => {}) });
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    onTestFinished(() => void vi.useRealTimers());

    const answer = ask[call](stage);
    await stage.zitadel.called(sendsSms(call) ? 2 : 1);
    vi.advanceTimersByTime(300_000);
    vi.useRealTimers();

    const late = { is: { code: 'UPSTREAM_TIMEOUT' }, outcome: 'UNKNOWN', level: 'warn' } as const;
    await expectFailure(stage, call, late, answer);
  }
});

test('a call without a connection is classified too', async () => {
  await using stage = await openLimited({ ZITADEL_URL: 'http://127.0.0.1:1' });
  const is = { code: 'UPSTREAM_UNAVAILABLE', reason: 'NO_CONNECTION' } as const;

  for (const call of trio) {
    await expectFailure(stage, call, { is, outcome: 'NOT_DONE', level: 'warn' }, ask[call](stage));
    if (!isRead(call)) await expectCount(stage, call, { outcome: 'NOT_DONE' });
  }
});

test('if this server fails after a write was sent, it counts as an SMS that may have been sent, or as a guess for a minute', async () => {
  stopClock();
  await using stage = await openLimited();
  const is = { code: 'INTERNAL_SERVER_ERROR' } as const;
  for (const [call, response] of [
    ['ResendPhoneCode', codeResponse],
    ['VerifyPhone', changeResponse],
  ] as const) {
    misbehave(stage, call, answered({}));
    vi.spyOn(response, 'safeParse').mockImplementationOnce(() => {
      throw new TypeError('No such property');
    });
    await expectFailure(stage, call, { is, outcome: 'UNKNOWN', level: 'error' }, ask[call](stage));
    expect(stage.lines.at(-1)).toContain('No such property');
    await expectCount(stage, call, { outcome: 'UNKNOWN' });
  }
});

test('if this server fails around a write, the outcome is unknown', async () => {
  await using stage = await openLimited();
  vi.spyOn(ZitadelClient.prototype, 'resendPhoneCode').mockRejectedValueOnce(new TypeError('No such property'));

  const { errors } = await stage.resend();

  expect(errors?.[0]?.extensions).toEqual({ code: 'INTERNAL_SERVER_ERROR', outcome: 'UNKNOWN' });
});

test('turns anything thrown into a failure', () => {
  class Odd extends Error {
    override get message(): string {
      throw new Error('Not even this');
    }
  }
  const failure = new Failure({ code: 'NOT_FOUND', reason: 'USER_UNKNOWN' });
  expect(failureOf(failure)).toBe(failure);

  for (const thrown of [
    undefined,
    null,
    'text',
    0,
    Symbol('s'),
    Object.create(null) as unknown,
    {},
    new Odd(),
    () => {},
  ]) {
    const made = failureOf(thrown);
    expect(made).toBeInstanceOf(Failure);
    expect(made.toExtensions()).toEqual({ code: 'INTERNAL_SERVER_ERROR' });
    expect(made.message).toBe('Something went wrong in this server.');
    expect(made.cause).toBe(thrown);
  }
});

test('a failure captures no stack, and the errors made after it have one', () => {
  const cause = new Error('why');
  const failure = new Failure({ code: 'INTERNAL_SERVER_ERROR' }, { cause });

  expect(failure.stack).toBe('Failure');
  expect(cause.stack).toContain('\n    at ');
  expect(new Error('later').stack).toContain('\n    at ');
});
