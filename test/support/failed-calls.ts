import type { Misbehaviour } from '../../src/embedded-zitadel/embedded-zitadel.js';
import type { Outcome } from '../../src/errors.js';
import type { Level, Verdict } from '../../src/failure.js';
import { recordedErrors, type Answer, type Call } from './recorded-answers.js';
import { grpcCodes } from './zitadel.js';

// What each kind of failed call means. `cases`, at the end, are what to test.

export interface Row {
  /** The kinds of recorded answers: see `kindsIn`. */
  recorded?: readonly string[];
  /** Answers that are not recorded yet. */
  on?: readonly Misbehaviour[];
  is: Verdict;
  /** Of a write. It is also what a resend counts as. */
  outcome: Outcome;
  level: Level;
  /** Whether it counts as a wrong code. */
  isGuess?: true;
  /** Whether the user is read. */
  isAmbiguous?: true;
  retryAfter?: number;
  argument?: 'number';
  /** The only calls for which it means this. */
  only?: readonly Call[];
  /** What the log says. */
  hint?: string;
}

const json = (status: number, body: object | string, headers = {}) => ({
  answer: {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  },
});
const page = (status: number, headers = {}) => ({
  answer: { status, headers: { 'content-type': 'text/html', ...headers }, body: '<h1>Not ZITADEL</h1>' },
});
const pages = (...statuses: number[]) => statuses.map((status) => page(status));
const detail = (id: string) => ({ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id, message: 'Text' });
const says = (code: number, status: number, id = 'TEST-1') =>
  json(status, { code, message: `Text (${id})`, details: [detail(id)] });

// prettier-ignore
export const rows: Row[] = [
  // As a real ZITADEL answered.
  { recorded: ['VerifyPhone 400 json 3 COMMAND-eis9R'], only: ['VerifyPhone'], is: { code: 'INVALID_VERIFICATION_CODE' }, outcome: 'NOT_DONE', level: 'info', isGuess: true, isAmbiguous: true },
  { recorded: ['SetPhone 400 json 3 PHONE-so0wa'], only: ['SetPhone'], is: { code: 'BAD_USER_INPUT', reason: 'NUMBER_INVALID' }, argument: 'number', outcome: 'NOT_DONE', level: 'info' },
  { recorded: ['SetPhone 400 json 9 COMMAND-Uch5e'], only: ['SetPhone'], is: { code: 'FAILED_PRECONDITION', reason: 'SAME_NUMBER' }, outcome: 'NOT_DONE', level: 'info' },
  { recorded: ['ResendPhoneCode 400 json 9 PHONE-5xrra88eq8'], only: ['ResendPhoneCode'], is: { code: 'FAILED_PRECONDITION', reason: 'NO_CODE_PENDING' }, outcome: 'NOT_DONE', level: 'info', isAmbiguous: true },
  { recorded: ['RemovePhone 400 json 9 COMMAND-ieJ2e'], only: ['RemovePhone'], is: { code: 'FAILED_PRECONDITION', reason: 'NO_PHONE' }, outcome: 'NOT_DONE', level: 'info' },
  { recorded: ['SetPhone|ResendPhoneCode|VerifyPhone|RemovePhone 400 json 9 COMMAND-uz0Uu'], is: { code: 'FAILED_PRECONDITION', reason: 'USER_NOT_INITIALIZED' }, outcome: 'NOT_DONE', level: 'info' },
  { recorded: ['SetPhone|ResendPhoneCode|VerifyPhone|RemovePhone 404 json 5 COMMAND-ieJ2e'], is: { code: 'NOT_FOUND', reason: 'USER_UNKNOWN' }, outcome: 'NOT_DONE', level: 'info', isAmbiguous: true },
  { recorded: ['GetUserByID 404 json 5 QUERY-Dfbg2', 'SetPhone 404 json 5 COMMAND-4g3xq'], is: { code: 'NOT_FOUND', reason: 'USER_UNKNOWN' }, outcome: 'NOT_DONE', level: 'info' },
  { recorded: ['SetPhone|ResendPhoneCode|RemovePhone|GetUserByID 404 json 5 AUTHZ-cdgFk'], is: { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING' }, outcome: 'NOT_DONE', level: 'info' },
  { recorded: ['SetPhone|ResendPhoneCode|RemovePhone|GetUserByID 403 json 7 AUTH-AWfge', 'GetUserByID 403 json 7 AUTH-Swrgg2'], is: { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING' }, outcome: 'NOT_DONE', level: 'info' },
  { recorded: ['SetPhone|ResendPhoneCode|VerifyPhone|RemovePhone|GetUserByID|ListUsers 401 json 16 AUTH-7fs1e'], is: { code: 'UNAUTHENTICATED', reason: 'TOKEN_REFUSED' }, outcome: 'NOT_DONE', level: 'info' },
  { recorded: ['ResendPhoneCode 401 json 16 AUTH-toLo1', 'SetPhone|ResendPhoneCode|RemovePhone|GetUserByID|ListUsers 401 json 16 - auth header missing'], is: { code: 'UNAUTHENTICATED', reason: 'TOKEN_REFUSED' }, outcome: 'NOT_DONE', level: 'info' },
  { recorded: ['SetPhone|ResendPhoneCode|VerifyPhone|GetUserByID|ListUsers|- 400 json 3 -'], is: { code: 'BAD_USER_INPUT' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
  { recorded: ['- 400 json 9 TODO'], is: { code: 'FAILED_PRECONDITION' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
  { recorded: ['ResendPhoneCode|GetUserByID 404 json 5 - unable to set instance'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'INSTANCE_UNKNOWN' }, outcome: 'NOT_DONE', level: 'warn' },
  { recorded: ['ResendPhoneCode|- 404 json 5 - Not Found'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'ROUTE_UNKNOWN' }, outcome: 'NOT_DONE', level: 'warn' },
  { recorded: ['GetUserByID|- 405 json 12 - Method Not Allowed', '- 501 json 12 - method GetUser not implemented'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'ROUTE_UNKNOWN' }, outcome: 'NOT_DONE', level: 'warn' },
  { recorded: ['ResendPhoneCode 429 json 8 LIMITS-molsj'], is: { code: 'RATE_LIMITED', reason: 'INSTANCE_BLOCKED' }, outcome: 'NOT_DONE', level: 'warn' },
  { recorded: ['ResendPhoneCode|GetUserByID 429 json 8 QUOTA-vjAy8'], is: { code: 'RATE_LIMITED', reason: 'UPSTREAM_QUOTA' }, outcome: 'NOT_DONE', level: 'warn' },
  { recorded: ['ResendPhoneCode|GetUserByID 403 json 7 AUTH-Bs7Ds'], is: { code: 'UPSTREAM_ERROR' }, outcome: 'NOT_DONE', level: 'warn', hint: "usually this means that ZITADEL's database is failing" },
  { recorded: ['ResendPhoneCode 500 json 13 RECOVER'], on: [says(13, 400, 'RECOVER')], is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN', level: 'warn', hint: 'usually this means that the SMS provider is Twilio Verify, which returns no codes' },
  { recorded: ['SetPhone|ResendPhoneCode|VerifyPhone|GetUserByID|ListUsers 500 json 13 - unable to set instance', 'ResendPhoneCode|RemovePhone|GetUserByID 500 json 13 - header key', 'ListUsers 500 json 13 QUERY-AG4gs', 'ListUsers 500 json 2 -'], is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN', level: 'warn' },
  { recorded: ['ResendPhoneCode|GetUserByID|- 301 -', '- 302 text/html'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'REDIRECTED' }, outcome: 'NOT_DONE', level: 'warn' },
  { recorded: ['ResendPhoneCode|GetUserByID 400 text/plain'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' }, outcome: 'NOT_DONE', level: 'warn', isGuess: true },
  { recorded: ['-|NoSuchMethod 404 text/plain', 'ResendPhoneCode 405 -', 'ResendPhoneCode 415 -'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' }, outcome: 'NOT_DONE', level: 'warn' },
  // Answers at other paths, such as those of the health checks.
  { recorded: ['- 412 text/plain', '- 200 json - - -'], is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN', level: 'warn' },
  { recorded: ['- 200 text/plain', '- 204 -'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' }, outcome: 'UNKNOWN', level: 'warn' },
  // ZITADEL's JSON that is not recorded yet. The code in the body decides; an HTTP status of 500 or more leaves the outcome open.
  { on: [says(3, 400), json(400, { code: 3, details: [{ '@type': 'type.googleapis.com/zitadel.v1.CredentialsCheckError', failedAttempts: 3 }] })], is: { code: 'BAD_USER_INPUT' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
  { on: [says(6, 409), says(9, 400), says(9, 404), says(10, 409), says(11, 400), says(9, 400, 'COMMAND-eis9R')], is: { code: 'FAILED_PRECONDITION' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
  { on: [says(5, 404, 'QUERY-AUTHZ-1')], is: { code: 'NOT_FOUND', reason: 'USER_UNKNOWN' }, outcome: 'NOT_DONE', level: 'info' },
  { on: [json(404, { code: 7, message: null, details: null })], is: { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING' }, outcome: 'NOT_DONE', level: 'info' },
  { on: [says(7, 500)], is: { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING' }, outcome: 'UNKNOWN', level: 'info' },
  { on: [json(429, { code: 8 }, { 'retry-after': '7' })], is: { code: 'RATE_LIMITED', reason: 'UPSTREAM_QUOTA' }, outcome: 'NOT_DONE', level: 'warn', retryAfter: 7 },
  { on: [says(4, 504), says(4, 400)], is: { code: 'UPSTREAM_TIMEOUT' }, outcome: 'UNKNOWN', level: 'warn' },
  { on: [says(14, 503), says(14, 400)], is: { code: 'UPSTREAM_UNAVAILABLE', reason: 'SAYS_UNAVAILABLE' }, outcome: 'UNKNOWN', level: 'warn' },
  { on: [json(503, { code: 14 }, { 'retry-after': '7' })], is: { code: 'UPSTREAM_UNAVAILABLE', reason: 'SAYS_UNAVAILABLE' }, outcome: 'UNKNOWN', level: 'warn', retryAfter: 7 },
  { on: [says(1, 499), says(2, 500), says(13, 500), says(13, 400), says(15, 500)], is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN', level: 'warn' },
  { on: [says(9, 504), says(9, 502)], is: { code: 'FAILED_PRECONDITION' }, outcome: 'UNKNOWN', level: 'info', isGuess: true },
  // ZITADEL reuses its ids. With another RPC or status, they mean nothing.
  { on: [says(3, 400, 'COMMAND-eis9R')], only: ['SetPhone', 'ResendPhoneCode', 'RemovePhone'], is: { code: 'BAD_USER_INPUT' }, outcome: 'NOT_DONE', level: 'info' },
  { on: [says(3, 400, 'PHONE-so0wa')], only: ['ResendPhoneCode', 'VerifyPhone'], is: { code: 'BAD_USER_INPUT' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
  { on: [says(9, 400, 'PHONE-so0wa'), says(9, 400, 'PHONE-5xrra88eq8'), says(9, 400, 'COMMAND-ieJ2e')], only: ['SetPhone', 'VerifyPhone'], is: { code: 'FAILED_PRECONDITION' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
  { on: [says(9, 400, 'COMMAND-Uch5e')], only: ['ResendPhoneCode', 'VerifyPhone'], is: { code: 'FAILED_PRECONDITION' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
  { on: ['COMMAND-Uch5e', 'PHONE-5xrra88eq8', 'COMMAND-ieJ2e', 'COMMAND-uz0Uu', 'AUTHZ-cdgFk', 'LIMITS-molsj'].map((id) => says(3, 400, id)), only: ['SetPhone', 'ResendPhoneCode', 'VerifyPhone'], is: { code: 'BAD_USER_INPUT' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
  { on: [says(16, 401, 'AUTH-Bs7Ds')], is: { code: 'UNAUTHENTICATED', reason: 'TOKEN_REFUSED' }, outcome: 'NOT_DONE', level: 'info' },
  { on: [says(7, 403, 'RECOVER')], is: { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING' }, outcome: 'NOT_DONE', level: 'info' },
  // Something else: by its HTTP status alone, whether a page or JSON.
  { on: [...pages(300, 301, 302, 303, 307, 308), json(302, { code: 5 })], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'REDIRECTED' }, outcome: 'NOT_DONE', level: 'warn' },
  { on: [page(400), json(400, []), json(400, { code: 0 }), json(400, { code: 17 }), json(400, { code: 'E_BAD' })], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' }, outcome: 'NOT_DONE', level: 'warn', isGuess: true },
  { on: [...pages(401, 404, 405, 411, 413, 414, 415, 421, 431), json(404, { code: 'missing' }), json(401, {}), page(404, { 'retry-after': '20' })], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' }, outcome: 'NOT_DONE', level: 'warn' },
  { on: pages(200, 201, 206), is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' }, outcome: 'UNKNOWN', level: 'warn' },
  { on: [page(429), json(429, { code: 429 })], is: { code: 'RATE_LIMITED', reason: 'UPSTREAM_QUOTA' }, outcome: 'NOT_DONE', level: 'warn' },
  { on: [page(429, { 'retry-after': '20' }), json(429, { code: 429 }, { 'retry-after': '20' })], is: { code: 'RATE_LIMITED', reason: 'UPSTREAM_QUOTA' }, outcome: 'NOT_DONE', level: 'warn', retryAfter: 20 },
  { on: [...pages(408, 504, 524), page(504, { 'retry-after': '20' }), json(504, {})], is: { code: 'UPSTREAM_TIMEOUT' }, outcome: 'UNKNOWN', level: 'warn' },
  { on: [...pages(502, 503, 521, 522, 523), json(502, { message: 'Bad Gateway' })], is: { code: 'UPSTREAM_UNAVAILABLE', reason: 'SAYS_UNAVAILABLE' }, outcome: 'UNKNOWN', level: 'warn' },
  { on: [page(503, { 'retry-after': '20' }), json(503, { code: 503 }, { 'retry-after': '20' })], is: { code: 'UPSTREAM_UNAVAILABLE', reason: 'SAYS_UNAVAILABLE' }, outcome: 'UNKNOWN', level: 'warn', retryAfter: 20 },
  { on: [...pages(403, 418, 499, 500, 501, 505, 520, 599), json(403, { message: 'Forbidden' }), json(500, { code: 99 })], is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN', level: 'warn' },
  // An answer that cannot be read, or none.
  { on: [json(400, '{"code":3,"mess')], is: { code: 'UPSTREAM_ERROR' }, outcome: 'NOT_DONE', level: 'warn', isGuess: true },
  { on: [json(404, '{"code":5,"mess'), json(429, '')], is: { code: 'UPSTREAM_ERROR' }, outcome: 'NOT_DONE', level: 'warn' },
  { on: [json(200, '{"details":{"sequ'), json(200, ''), json(200, {}), json(403, '{"code":7'), json(500, '')], is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN', level: 'warn' },
  { on: [{ reset: true }], is: { code: 'UPSTREAM_UNAVAILABLE', reason: 'CONNECTION_LOST' }, outcome: 'UNKNOWN', level: 'warn' },
];

function titleOf(on: Misbehaviour): string {
  if (!('answer' in on)) return JSON.stringify(on);
  const { status, headers, body } = on.answer;
  return `HTTP ${status} ${String(body).slice(0, 50)}${headers?.['retry-after'] ? ', to be tried again later' : ''}`;
}

/** ZITADEL's part of the extensions. Its words are left out if they are about internals. */
export function originalOf({ status: httpStatus, body = '' }: Answer, ours: string): object {
  if (httpStatus < 400 || !/^\{"code":([1-9]|1[0-6])\b.*\}$/s.test(String(body))) return { httpStatus };
  const { code, message, details } = JSON.parse(String(body)) as {
    code: number;
    message?: string | null;
    details?: { id?: string }[] | null;
  };
  const id = details?.[0]?.id;
  const words = { ...(message != null && { message }), ...(details && { details }) };
  const numbers = { code, status: grpcCodes[code], httpStatus, ...(id !== undefined && { id }) };
  return ours.startsWith('UPSTREAM_') ? numbers : { ...numbers, ...words };
}

/** Calls to try any answer with: one that sends an SMS, one that tries a code, and a read. */
export const trio = ['ResendPhoneCode', 'VerifyPhone', 'GetUserByID'] as const;

/** The kinds in a row, each for one RPC: the beginnings of a `RecordedAnswer.kind`. `|` separates RPCs. */
export function kindsIn({ recorded = [] }: Row): string[] {
  return recorded.flatMap((kinds) => {
    const [rpcs = '', ...rest] = kinds.split(' ');
    return rpcs.split('|').map((rpc) => [rpc, ...rest].join(' '));
  });
}

export const isOfKind = (kind: string) => (answer: { kind: string }) => `${answer.kind} `.startsWith(`${kind} `);

/** The rows that a recorded error fits: there must be one. */
export const rowsFor = (answer: { kind: string }) =>
  rows.filter((row) => kindsIn(row).some((kind) => isOfKind(kind)(answer)));

type Case = readonly [name: string, calls: readonly Call[], Row, Misbehaviour];

const alone = (name: string, call: Call, row: Row, on: Misbehaviour): Case => [
  `${name}, in answer to ${call}`,
  [call],
  row,
  on,
];

/** Each kind of answer, to three calls, and also to the RPC that it was recorded for. */
export const cases = rows.flatMap((row): Case[] => {
  const known = kindsIn(row).flatMap((kind, index, kinds): Case[] => {
    const found = recordedErrors.find((one) => one.answers.rest.length > 0 && isOfKind(kind)(one));
    const [answer] = found?.answers.rest ?? [];
    // Some were recorded only over Connect.
    if (!found || !answer) return [];
    const { name, call } = found;
    const withoutRpc = (one: string) => one.replace(/^\S+/, '');
    const isFirst = kinds.findIndex((one) => withoutRpc(one) === withoutRpc(kind)) === index;
    return [
      ...(isFirst && !row.only ? [[name, trio, row, { answer }] as const] : []),
      ...(row.only || !trio.some((one) => one === call) ? [alone(name, call, row, { answer })] : []),
    ];
  });
  const others = (row.on ?? []).flatMap((on): Case[] =>
    row.only ? row.only.map((call) => alone(titleOf(on), call, row, on)) : [[titleOf(on), trio, row, on]],
  );
  return [...known, ...others];
});
