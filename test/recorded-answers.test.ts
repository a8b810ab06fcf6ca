import { expect, test } from 'vitest';
import { users } from '../src/embedded-zitadel/population.js';
import type { SetPhoneMode } from '../src/zitadel/messages.js';
import { isOfKind, kindsIn, originalOf, rows, rowsFor } from './support/failed-calls.js';
import { readMetrics } from './support/metrics.js';
import { readMany, readOne, user } from './support/reads.js';
import {
  recordedErrors,
  recordedSuccesses,
  type Answer,
  type Call,
  type Api,
  type RecordedAnswer,
} from './support/recorded-answers.js';
import { manager, openStage, post, unverified, type GraphQLAnswer, type Phone } from './support/stage.js';
import { answered } from './support/zitadel.js';

// Sends every recorded answer of a real ZITADEL through the subgraph. For what else follows from a failure, see failures.test.ts.

type Stage = Awaited<ReturnType<typeof openStage>>;

const isRead = (call: Call) => call === 'GetUserByID' || call === 'ListUsers';

const apis: Api[] = ['rest', 'connect'];

const number = '+41795550101';
/** No SMS may be sent to a user for a minute after a removal, so the phone that is removed is another user's. */
const removed = users.verified.userId;

/** Runs a mutation that selects what ZITADEL answered, and what it shows of the phone. */
const change = (stage: Stage, parameters: string, field: string, variables: object, code = '') => {
  const selection = `{ details { sequence changeDate resourceOwner } ${code} user { contactPhone { number isVerified } } }`;
  const query = `mutation ($userId: ID!${parameters}) { ${field} ${selection} }`;
  return post<object>(stage.graphql, { query, variables }, manager);
};

/** Runs the field that makes this call. */
const ask: Record<
  Call,
  (stage: Stage, userIds: readonly string[], mode: SetPhoneMode) => Promise<GraphQLAnswer<object>>
> = {
  SetPhone: (stage, [userId], mode) =>
    change(
      stage,
      ', $number: PhoneNumber!, $mode: SetPhoneMode!',
      'setContactPhone(userId: $userId, number: $number, mode: $mode)',
      { userId, number, mode },
      'verificationCode resendAvailableAt',
    ),
  ResendPhoneCode: (stage, [userId], mode) => stage.resend({ userId, mode }),
  VerifyPhone: (stage, [userId]) =>
    change(stage, '', 'verifyContactPhone(userId: $userId, verificationCode: "S3CR3T")', { userId }),
  RemovePhone: (stage) => change(stage, '', 'removeContactPhone(userId: $userId)', { userId: removed }),
  GetUserByID: (stage, [userId = '']) => readOne(stage.graphql, userId),
  ListUsers: (stage, userIds) => readMany(stage.graphql, userIds.map(user)),
};

const sendsSms = (call: Call, mode: SetPhoneMode) =>
  mode === 'SEND_CODE' && (call === 'SetPhone' || call === 'ResendPhoneCode');

/** The answer to a read before an SMS, or after a write. */
const readUser = answered({ user: { userId: unverified, human: { phone: { phone: users.unverified.phone.number } } } });

interface Sent {
  name: string;
  call: Call;
  mode: SetPhoneMode;
  userIds: readonly string[];
  answer: Answer;
  /** Whether the user is read afterwards. */
  isReadAfter: boolean;
}

/** Makes ZITADEL answer a call with this, and returns what the subgraph answered. */
async function send(stage: Stage, { name, call, mode, userIds, answer, isReadAfter }: Sent) {
  const isReadBefore = sendsSms(call, mode);
  stage.zitadel.calls.length = 0;
  stage.zitadel.misbehave(...(isReadBefore ? [readUser] : []), { answer }, ...(isReadAfter ? [readUser] : []));
  const { status, data, errors = [] } = await ask[call](stage, userIds, mode);
  // Any other number of calls would give the next one the wrong answer.
  const rpcs = stage.rpcs();
  expect(rpcs, name).toEqual([...(isReadBefore ? ['GetUserByID'] : []), call, ...(isReadAfter ? ['GetUserByID'] : [])]);
  return { status, data: data && (Object.values(data) as unknown[])[0], errors: errors.map((one) => one.extensions) };
}

test('the table of failed calls names every recorded error, and no other', () => {
  const fitting = recordedErrors.map((error) => [error.name, error.kind, rowsFor(error).length]);
  expect(fitting.filter(([, , count]) => count !== 1)).toEqual([]);
  const kinds = rows.flatMap(kindsIn);
  expect(kinds.filter((kind) => !recordedErrors.some(isOfKind(kind)))).toEqual([]);
});

test.for(apis)('classifies every recorded error over %s', async (api) => {
  await using stage = await openStage({ ZITADEL_API: api });
  const got: Record<string, unknown> = {};
  const expected: Record<string, unknown> = {};

  for (const failed of recordedErrors) {
    const { name, call, answers, body } = failed;
    const [row] = rowsFor(failed);
    if (!row) continue;
    const { is, outcome, argument, isAmbiguous = false } = row;
    for (const [index, answer] of answers[api].entries()) {
      const mode = 'RETURN_CODE';
      const userIds = [unverified, '1'];
      got[`${name} ${index}`] = await send(stage, { name, call, mode, userIds, answer, isReadAfter: isAmbiguous });
      const error = (userId: string) => ({
        ...is,
        ...(isRead(call) ? { userId } : { outcome }),
        ...(argument && { argument }),
        zitadel: originalOf({ ...answer, body }, is.code),
      });
      expected[`${name} ${index}`] =
        call === 'ListUsers'
          ? { status: 200, data: [{ contactPhone: null }, { contactPhone: null }], errors: userIds.map(error) }
          : { status: 200, data: null, errors: [error(unverified)] };
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

/** The users to ask for, and the answer to expect. ZITADEL lists nobody with the id 1 or 2. */
function expectedOf({ call, mode, body }: RecordedAnswer) {
  const json = JSON.parse(body) as {
    details: { sequence: string; changeDate: string; resourceOwner: string };
    verificationCode?: string;
    user?: UserJson;
    result?: UserJson[];
  };
  const { user: one, result: some = [] } = json;
  const base = { status: 200, errors: [] as object[] };
  if (call === 'GetUserByID') {
    const phone = one && phoneOf(one);
    const data = phone && { ...phone, resendAvailableAt: null };
    return { userIds: [one?.userId ?? ''], expected: { ...base, data } };
  }
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
  return { userIds: [unverified], expected: { ...base, data } };
}

test.for(apis)(
  'passes on what every recorded success contains over %s, counts the SMS, and logs no code',
  async (api) => {
    // If the right code counted as a wrong one, the next would be refused.
    await using stage = await openStage({ ZITADEL_API: api, VERIFY_LIMIT: '1/10m' });
    const got: Record<string, unknown> = {};
    const expected: Record<string, unknown> = {};
    let sms = 0;

    for (const success of recordedSuccesses) {
      const { name, call, mode, answers } = success;
      const { userIds, expected: one } = expectedOf(success);
      for (const [index, answer] of answers[api].entries()) {
        if (sendsSms(call, mode)) sms += 1;
        // VerifyPhone does not answer with the number.
        const isReadAfter = call === 'VerifyPhone';
        got[`${name} ${index}`] = await send(stage, { name, call, mode, userIds, answer, isReadAfter });
        expected[`${name} ${index}`] = one;
      }
    }

    expect(got).toEqual(expected);
    const metrics = Object.entries(await readMetrics(`${stage.url}/metrics`));
    expect(metrics.filter(([name, count]) => name.startsWith('contact_phone_sms_sent_total{') && count > 0)).toEqual([
      ['contact_phone_sms_sent_total{outcome="DONE",country="CH"}', sms],
    ]);
    const codes = recordedSuccesses.flatMap(({ body }) => /(?<="verificationCode":")[^"]+/.exec(body) ?? []);
    expect(codes.length).toBeGreaterThan(50);
    expect(codes.filter((code) => stage.lines.join('').includes(code))).toEqual([]);
  },
);
