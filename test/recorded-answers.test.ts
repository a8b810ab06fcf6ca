import { expect, test } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import type { Misbehaviour } from '../src/embedded-zitadel/embedded-zitadel.js';
import type { SetPhoneMode } from '../src/zitadel/messages.js';
import { isOfKind, kindsIn, originalOf, rows, rowsFor } from './support/failed-calls.js';
import { readMetrics } from './support/metrics.js';
import { readMany, user } from './support/reads.js';
import {
  recordedErrors,
  recordedSuccesses,
  type Call,
  type Dialect,
  type RecordedAnswer,
} from './support/recorded-answers.js';
import { openStage, unverified, type GraphQLAnswer, type Phone } from './support/stage.js';
import { answered } from './support/zitadel.js';

// Everything that a real ZITADEL was recorded to answer, through the subgraph. What else follows from a failure: see failures.test.ts.

type Stage = Awaited<ReturnType<typeof openStage>>;

const isRead = (call: Call) => call === 'GetUserByID' || call === 'ListUsers';

const dialects: Dialect[] = ['rest', 'connect'];

const number = '+41795550101';
/** No SMS may be sent to a user for a minute after a removal, so the phone that is removed is another user's. */
const removed = users.verified.userId;

/** Runs the field that makes this call. */
const ask: Record<
  Call,
  (stage: Stage, userIds: readonly string[], mode: SetPhoneMode) => Promise<GraphQLAnswer<object>>
> = {
  SetPhone: (stage, [userId], mode) => stage.run('set-contact-phone', { userId, number, mode }),
  ResendPhoneCode: (stage, [userId], mode) => stage.resend({ userId, mode }),
  VerifyPhone: (stage, [userId]) => stage.run('verify-contact-phone', { userId, verificationCode: 'S3CR3T' }),
  RemovePhone: (stage) => stage.run('remove-contact-phone', { userId: removed }),
  GetUserByID: (stage, [userId]) => stage.run('contact-phone', { userId }),
  ListUsers: (stage, userIds) => readMany(stage.graphql, userIds.map(user)),
};

const readUser = answered({ user: { userId: unverified, human: { phone: { phone: users.unverified.phone.number } } } });

/** What came back for an answer of ZITADEL, and how many calls that took. */
async function send(stage: Stage, call: Call, mode: SetPhoneMode, answers: Misbehaviour[], userIds: readonly string[]) {
  stage.zitadel.calls.length = 0;
  stage.zitadel.misbehave(...answers);
  const { status, data, errors = [] } = await ask[call](stage, userIds, mode);
  return {
    status,
    data: data && (Object.values(data) as unknown[])[0],
    errors: errors.map(({ extensions }) => extensions),
    calls: stage.zitadel.calls.length,
  };
}

test('the table of failures knows every recorded error, and nothing else', () => {
  const fitting = recordedErrors.map((error) => [error.name, error.kind, rowsFor(error).length]);
  expect(fitting.filter(([, , count]) => count !== 1)).toEqual([]);
  const kinds = rows.flatMap(kindsIn);
  expect(kinds.filter((kind) => !recordedErrors.some(isOfKind(kind)))).toEqual([]);
});

test.for(dialects)('classifies every recorded error over %s', async (dialect) => {
  await using stage = await openStage({ ZITADEL_API: dialect });
  const got: Record<string, unknown> = {};
  const expected: Record<string, unknown> = {};

  for (const failed of recordedErrors) {
    const { name, call, answers, body } = failed;
    const [row] = rowsFor(failed);
    for (const [index, answer] of answers[dialect].entries()) {
      const { is, outcome, argument, isAmbiguous } = row ?? {};
      got[`${name} ${index}`] = await send(
        stage,
        call,
        'RETURN_CODE',
        [{ answer }, ...(isAmbiguous ? [readUser] : [])],
        [unverified, '1'],
      );
      const error = (userId: string) => ({
        ...is,
        ...(isRead(call) ? { userId } : { outcome }),
        ...(argument && { argument }),
        zitadel: originalOf({ ...answer, body }, is?.code ?? ''),
      });
      const lists = call === 'ListUsers';
      expected[`${name} ${index}`] = {
        status: 200,
        data: lists ? [{ contactPhone: null }, { contactPhone: null }] : null,
        errors: lists ? [error(unverified), error('1')] : [error(call === 'RemovePhone' ? removed : unverified)],
        calls: isAmbiguous ? 2 : 1,
      };
    }
  }

  expect(got).toEqual(expected);
});

interface UserJson {
  userId: string;
  human?: { phone?: { phone?: string; isVerified?: boolean } };
}

function phoneOf({ human: { phone: { phone, isVerified = false } = {} } = {} }: UserJson): Phone {
  return phone === undefined ? null : { number: phone, isVerified };
}

const unknown = (userId: string) => ({ code: 'NOT_FOUND', reason: 'USER_UNKNOWN', userId });

/** The users to ask for, and what is then in the answer. Nobody has the ids 1 and 2. */
function expectedOf({ call, mode, body }: RecordedAnswer) {
  const json = JSON.parse(body) as {
    details: { sequence: string; changeDate: string; resourceOwner: string };
    verificationCode?: string;
    user?: UserJson;
    result?: UserJson[];
  };
  const { user: one, result: some = [] } = json;
  const base = { status: 200, errors: [] as object[], calls: 1 };
  if (call === 'GetUserByID') return { userIds: [one?.userId ?? ''], expected: { ...base, data: one && phoneOf(one) } };
  if (call === 'ListUsers') {
    const data = [...some.map(phoneOf), null, null].map((contactPhone) => ({ contactPhone }));
    const userIds = [...some.map(({ userId }) => userId), '1', '2'];
    return { userIds, expected: { ...base, data, errors: [unknown('1'), unknown('2')] } };
  }
  const { details, verificationCode = null } = json;
  const contactPhone = {
    SetPhone: { number, isVerified: mode === 'MARK_VERIFIED' },
    VerifyPhone: { number: users.unverified.phone.number, isVerified: true },
    RemovePhone: null,
    ResendPhoneCode: undefined,
  }[call];
  const code = call === 'SetPhone' || call === 'ResendPhoneCode' ? { verificationCode, resendAvailableAt: null } : {};
  const data = { details, ...code, ...(contactPhone !== undefined && { user: { contactPhone } }) };
  // The rest of the user is read after VerifyPhone.
  return { userIds: [unverified], expected: { ...base, data, calls: call === 'VerifyPhone' ? 2 : 1 } };
}

test.for(dialects)('passes on what every recorded success contains over %s, and counts the SMS', async (dialect) => {
  // If the right code counted as a wrong one, the next would be refused.
  await using stage = await openStage({ ZITADEL_API: dialect, VERIFY_LIMIT: '1/10m' });
  const got: Record<string, unknown> = {};
  const expected: Record<string, unknown> = {};
  let sms = 0;

  for (const success of recordedSuccesses) {
    const { name, call, mode, answers } = success;
    const { userIds, expected: one } = expectedOf(success);
    for (const [index, answer] of answers[dialect].entries()) {
      if (/^(Set|Resend)Phone/.test(call) && mode === 'SEND_CODE') sms += 1;
      got[`${name} ${index}`] = await send(
        stage,
        call,
        mode,
        [{ answer }, ...(call === 'VerifyPhone' ? [readUser] : [])],
        userIds,
      );
      expected[`${name} ${index}`] = one;
    }
  }

  expect(got).toEqual(expected);
  const metrics = Object.entries(await readMetrics(`${stage.url}/metrics`));
  expect(metrics.filter(([name]) => name.startsWith('contact_phone_sms_sent_total{'))).toEqual([
    ['contact_phone_sms_sent_total{outcome="DONE"}', sms],
  ]);
});
