import { readFileSync } from 'node:fs';
import type { Misbehaviour } from '../../src/embedded-zitadel/embedded-zitadel.js';
import type { Outcome } from '../../src/errors.js';
import type { Level, Rpc, Verdict } from '../../src/failure.js';
import { grpcCodes } from './zitadel.js';

// What each kind of failed call means. `cases`, at the end, are what to test.

export type Call = Exclude<Rpc, 'Probe'>;
type Answer = Extract<Misbehaviour, { answer: unknown }>;

export interface Row {
  on: readonly (string | Misbehaviour)[];
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

/** Errors of a real ZITADEL, main of 2026-07-10: one for each RPC, HTTP status, code and id. Ids, tokens and hosts are placeholders. */
export const corpus = JSON.parse(readFileSync('test/corpus/errors.json', 'utf8')) as {
  name: string;
  rpc: Call | '-';
  response: { status: number; contentType: string | null; headers: Record<string, string>; body: string };
}[];

const json = (status: number, body: object | string, headers = {}): Answer => ({
  answer: {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  },
});
const page = (status: number, headers = {}): Answer => ({
  answer: { status, headers: { 'content-type': 'text/html', ...headers }, body: '<h1>Not ZITADEL</h1>' },
});
const pages = (...statuses: number[]) => statuses.map((status) => page(status));
const detail = (id: string) => ({ '@type': 'type.googleapis.com/zitadel.v1.ErrorDetail', id, message: 'Text' });
const says = (code: number, status: number, id = 'TEST-1') =>
  json(status, { code, message: `Text (${id})`, details: [detail(id)] });

// prettier-ignore
export const rows: Row[] = [
  // As a real ZITADEL answered.
  { on: ['caller:iamOwner:verify-wrong'], only: ['VerifyPhone'], is: { code: 'INVALID_VERIFICATION_CODE' }, outcome: 'NOT_DONE', level: 'info', isGuess: true, isAmbiguous: true },
  { on: ['set:letters abc'], only: ['SetPhone'], is: { code: 'BAD_USER_INPUT', reason: 'NUMBER_INVALID' }, argument: 'number', outcome: 'NOT_DONE', level: 'info' },
  { on: ['journey:16 set the same number'], only: ['SetPhone'], is: { code: 'FAILED_PRECONDITION', reason: 'SAME_NUMBER' }, outcome: 'NOT_DONE', level: 'info' },
  { on: ['state:verified:resend-send'], only: ['ResendPhoneCode'], is: { code: 'FAILED_PRECONDITION', reason: 'NO_CODE_PENDING' }, outcome: 'NOT_DONE', level: 'info', isAmbiguous: true },
  { on: ['self-on-self:remove-again'], only: ['RemovePhone'], is: { code: 'FAILED_PRECONDITION', reason: 'NO_PHONE' }, outcome: 'NOT_DONE', level: 'info' },
  { on: ['state:initial-v1:set-send', 'state:initial-v1:resend-send', 'state:initial-v1:verify-wrong', 'state:initial-v1:remove'], is: { code: 'FAILED_PRECONDITION', reason: 'USER_NOT_INITIALIZED' }, outcome: 'NOT_DONE', level: 'info' },
  { on: ['state:deleted:set-send', 'state:deleted:resend-send', 'state:deleted:verify-wrong', 'state:deleted:remove'], is: { code: 'NOT_FOUND', reason: 'USER_UNKNOWN' }, outcome: 'NOT_DONE', level: 'info', isAmbiguous: true },
  { on: ['state:deleted:get', 'id:slash encoded:set'], is: { code: 'NOT_FOUND', reason: 'USER_UNKNOWN' }, outcome: 'NOT_DONE', level: 'info' },
  { on: ['caller:nobody:set-send', 'caller:nobody:resend-send', 'caller:self:remove', 'caller:outsider:get'], is: { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING' }, outcome: 'NOT_DONE', level: 'info' },
  { on: ['caller:iamViewer:set-send', 'caller:iamViewer:resend-send', 'caller:iamViewer:remove', 'caller:selfManager:get', 'caller:projectOwner:get'], is: { code: 'FORBIDDEN', reason: 'PERMISSION_MISSING' }, outcome: 'NOT_DONE', level: 'info' },
  { on: ['caller:expired:set-send', 'caller:expired:resend-return', 'caller:expired:verify-wrong', 'caller:expired:remove', 'caller:deadMachine:get', 'caller:deadMachine:list'], is: { code: 'UNAUTHENTICATED', reason: 'TOKEN_REFUSED' }, outcome: 'NOT_DONE', level: 'info' },
  { on: ['auth:Bearer only', 'auth:none', 'auth:set:none', 'auth:remove:none', 'auth:get:none', 'auth:list:none'], is: { code: 'UNAUTHENTICATED', reason: 'TOKEN_REFUSED' }, outcome: 'NOT_DONE', level: 'info' },
  { on: ['set:empty phone', 'resend:body null', 'verify:empty code', 'id:201:get', 'list:limit 4294967296', 'route:v3alpha users'], is: { code: 'BAD_USER_INPUT' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
  { on: ['route:v3alpha a'], is: { code: 'FAILED_PRECONDITION' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
  { on: ['host:unknown host', 'host:127.0.0.1:get'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'INSTANCE_UNKNOWN' }, outcome: 'NOT_DONE', level: 'warn' },
  { on: ['route:unknown below v2', 'id:slash encoded:resend'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'ROUTE_UNKNOWN' }, outcome: 'NOT_DONE', level: 'warn' },
  { on: ['route:GET on resend', 'route:v3alpha GET user', 'id:slash encoded:get'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'ROUTE_UNKNOWN' }, outcome: 'NOT_DONE', level: 'warn' },
  { on: ['block:resend, no auth'], is: { code: 'RATE_LIMITED', reason: 'INSTANCE_BLOCKED' }, outcome: 'NOT_DONE', level: 'warn' },
  { on: ['quota:resend', 'quota:get'], is: { code: 'RATE_LIMITED', reason: 'UPSTREAM_QUOTA' }, outcome: 'NOT_DONE', level: 'warn' },
  { on: ['orgid:garbage', 'orgid:nobody:garbage'], is: { code: 'UPSTREAM_ERROR' }, outcome: 'NOT_DONE', level: 'warn', hint: "usually this means that ZITADEL's database is failing" },
  { on: ['twilio-verify:resend return', says(13, 400, 'RECOVER')], is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN', level: 'warn', hint: 'usually this means that the SMS provider is Twilio Verify, which returns no codes' },
  { on: ['db-stopped:set', 'db-stopped:resend 1', 'db-stopped:verify', 'db-stopped:get', 'db-stopped:list', 'list:NUL id', 'list:empty ids', 'id:NUL:resend', 'id:NUL:get', 'header:DELETE emoji id'], is: { code: 'UPSTREAM_ERROR' }, outcome: 'UNKNOWN', level: 'warn' },
  { on: ['id:dot:resend', 'id:dot:get', 'route:root', 'route:double slash'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'REDIRECTED' }, outcome: 'NOT_DONE', level: 'warn' },
  { on: ['id:percent raw:resend', 'id:percent raw:get'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' }, outcome: 'NOT_DONE', level: 'warn', isGuess: true },
  { on: ['route:openapi'], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' }, outcome: 'NOT_DONE', level: 'warn' },
  // ZITADEL's JSON, as nobody has recorded it yet. The code in the body decides; an HTTP status of 500 or more leaves the outcome open.
  { on: [says(3, 400), json(400, { code: 3, details: [{ '@type': 'type.googleapis.com/zitadel.v1.CredentialsCheckError', failedAttempts: 3 }] })], is: { code: 'BAD_USER_INPUT' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
  { on: [says(6, 409), says(9, 400), says(9, 404), says(10, 409), says(11, 400), says(9, 400, 'COMMAND-eis9R')], is: { code: 'FAILED_PRECONDITION' }, outcome: 'NOT_DONE', level: 'info', isGuess: true },
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
  { on: [page(400), json(400, []), json(400, { code: 0 }), json(400, { code: 17 }), json(400, { code: 'invalid_argument' })], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' }, outcome: 'NOT_DONE', level: 'warn', isGuess: true },
  { on: [...pages(401, 404, 405, 411, 413, 414, 415, 421, 431), json(404, { code: 'not_found' }), json(401, {}), page(404, { 'retry-after': '20' })], is: { code: 'UPSTREAM_MISCONFIGURED', reason: 'NOT_ZITADEL' }, outcome: 'NOT_DONE', level: 'warn' },
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

function recorded(name: string): { rpc: Call | '-'; answer: Answer } {
  const entry = corpus.find((one) => one.name === name);
  if (!entry) throw new Error(`The corpus has no ${name}.`);
  const { status, contentType, headers, body } = entry.response;
  const all = { ...headers, ...(contentType !== null && { 'content-type': contentType }) };
  return { rpc: entry.rpc, answer: { answer: { status, headers: all, body } } };
}

function titleOf(on: Misbehaviour): string {
  if (!('answer' in on)) return JSON.stringify(on);
  const { status, headers, body } = on.answer;
  return `HTTP ${status} ${String(body).slice(0, 50)}${headers?.['retry-after'] ? ', to be tried again later' : ''}`;
}

/** ZITADEL's part of the extensions. Its words are left out if they are about internals. */
export function originalOf(on: Misbehaviour, ours: string): object | undefined {
  if (!('answer' in on)) return undefined;
  const { status: httpStatus, body = '' } = on.answer;
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

/** Calls that take any answer: one that sends an SMS, one that tries a code, and a read. */
export const trio = ['ResendPhoneCode', 'VerifyPhone', 'GetUserByID'] as const;

type Case = readonly [name: string, calls: readonly Call[], Row, Misbehaviour];

/** Each answer to the recorded call, if it is known, and to three more. */
export const cases = rows.flatMap((row) =>
  row.on.flatMap((on): Case[] => {
    const name = typeof on === 'string' ? on : titleOf(on);
    const { rpc, answer } = typeof on === 'string' ? recorded(on) : { rpc: '-' as const, answer: on };
    const alone = (call: Call): Case => [`${name}, in answer to ${call}`, [call], row, answer];
    if (row.only) return row.only.map(alone);
    const isOther = rpc !== '-' && !trio.some((one) => one === rpc);
    return [[name, trio, row, answer], ...(isOther ? [alone(rpc)] : [])];
  }),
);
