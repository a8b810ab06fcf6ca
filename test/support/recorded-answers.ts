import { gzipSync } from 'node:zlib';
import type { JsonObject } from '@bufbuild/protobuf';
import type { Misbehaviour } from '../../src/embedded-zitadel/embedded-zitadel.js';
import type { Rpc } from '../../src/failure.js';
import type { SetPhoneMode } from '../../src/zitadel/messages.js';
import { errorDetail, typeName } from '../descriptors/error-detail.js';
import { corpus, recorded, type Recorded } from './corpus.js';
import { grpcCodes } from './zitadel.js';

// The recorded answers of a real ZITADEL, with values in place of the placeholders, so that they can be sent again.

export type Call = Exclude<Rpc, 'Probe'>;
export type Api = 'rest' | 'connect';
export type Answer = Extract<Misbehaviour, { answer: unknown }>['answer'];

export interface RecordedAnswer {
  name: string;
  /** The RPC, HTTP status, content type, google.rpc.Code, id and message, with `-` for what is absent. */
  kind: string;
  /** The call to answer: ResendPhoneCode if the recorded request was not one that this server makes. */
  call: Call;
  /** Of a successful SetPhone or ResendPhoneCode. */
  mode: SetPhoneMode;
  isError: boolean;
  /** As it was recorded, and over Connect in all forms that mean the same. */
  answers: Record<Api, Answer[]>;
  /** In the form that it has over REST. */
  body: string;
}

const detailPrefix = 'type.googleapis.com/';

interface RestError {
  code: number;
  message?: string | null;
  details?: ({ '@type': string } & JsonObject)[] | null;
}
interface ConnectError {
  code: string;
  message: string;
  details?: { type: string; value: string; debug?: JsonObject }[];
}

/** `canceled` is the only name that Connect spells differently: https://connectrpc.com/docs/protocol/#error-codes */
const connectCodes = grpcCodes.map((name) => (name === 'CANCELLED' ? 'canceled' : name.toLowerCase()));

function toConnect({ code, message, details }: RestError): object {
  return {
    code: connectCodes[code],
    ...(message != null && { message }),
    ...(details && { details: details.map(connectDetail) }),
  };
}

function connectDetail({ '@type': type, ...detail }: { '@type': string } & JsonObject) {
  if (type !== detailPrefix + typeName) {
    return { type: type.replace(detailPrefix, ''), value: '', debug: detail };
  }
  return { type: typeName, value: Buffer.from(errorDetail(detail)).toString('base64').replace(/=+$/, '') };
}

/** An answer over REST as it would be over Connect: only errors of ZITADEL differ. */
export function overConnect(answer: Answer): Answer {
  const text = String(answer.body ?? '');
  if (!/^\{"code":([1-9]|1[0-6])\b.*\}$/s.test(text)) return answer;
  return { ...answer, body: JSON.stringify(toConnect(JSON.parse(text) as RestError)) };
}

function toRest({ code, message, details }: ConnectError): object {
  return {
    code: connectCodes.indexOf(code),
    message,
    ...(details && {
      details: details.map(({ type, debug }) => ({ '@type': detailPrefix + type, ...debug })),
    }),
  };
}

const withoutDebug = ({ details, ...error }: ConnectError) => ({
  ...error,
  ...(details && { details: details.map(({ type, value }) => ({ type, value })) }),
});

const ids = new Map<string, string>();
let uniques = 0;

/** The same user or organisation always has the same id, but a placeholder for several users has a new one each time. */
function idFor(placeholder: string): string {
  const key = /^<(user:bulk|id)>$/.test(placeholder) ? `${placeholder}${(uniques += 1)}` : placeholder;
  const id = ids.get(key) ?? String(300_000_000_000_000_000n + BigInt(ids.size));
  ids.set(key, id);
  return id;
}

function codeOf(alphabet: string, length: number): string {
  if (alphabet !== 'A-Z0-9') return alphabet.repeat(length).slice(0, length);
  uniques += 1;
  return (36 ** length - 1 - 123_457 * uniques).toString(36).toUpperCase();
}

function fill(text: string): string {
  return text
    .replace(/<(user|id)(:[\w-]+)?>/g, idFor)
    .replace(/<seq>/g, () => String((uniques += 1)))
    .replace(/<time\.(\d)>/g, (_, digits) => {
      const fraction = String((uniques += 1)).padStart(6, '1');
      return `2026-07-10T08:09:10.${fraction.slice(-Number(digits))}Z`;
    })
    .replace(/<code:(.+?):(\d+)>/g, (_, alphabet: string, length) => codeOf(alphabet, Number(length)));
}

/** Only 3,000 characters of a body were recorded. Ends a list after its last complete user. */
function close(body: string): string {
  return body.length < 3_000 ? body : `${body.slice(0, body.lastIndexOf(', {"userId"'))}]}`;
}

/** @returns undefined if it is not a JSON object */
function parse(body: string): { code?: unknown; details?: unknown } | undefined {
  return body.startsWith('{') ? (JSON.parse(body) as object) : undefined;
}

function modeOf({ request, response }: Recorded): SetPhoneMode {
  if (response.body.includes('"verificationCode"')) return 'RETURN_CODE';
  return request.body?.includes('"isVerified":true') ? 'MARK_VERIFIED' : 'SEND_CODE';
}

function kindOf({ operation, response: { status, contentType } }: Recorded, body: string): string {
  const type = contentType?.replace(/;.*|application\//g, '') ?? '-';
  const { code = '-', message = '-', details } = (parse(body) ?? {}) as Partial<RestError>;
  const id = Array.isArray(details) ? details[0]?.['id'] : undefined;
  return [operation, status, type, code, id ?? '-', message].map(String).join(' ');
}

function readEntry(entry: Recorded): RecordedAnswer {
  const { name, operation, response } = entry;
  const { status, contentType, headers } = response;
  const isConnect = entry.request.path.startsWith('/zitadel.');
  const isGzip = headers['content-encoding'] === 'gzip';
  // The recording lost bytes of the one body that is not text.
  const kept = isGzip ? recorded('connect:with protocol version').response.body : response.body;
  const body = fill(close(kept));
  const json = parse(body);
  const error = json && 'code' in json ? json : undefined;
  const isConnectError = typeof error?.code === 'string';
  const restBody = isConnectError ? JSON.stringify(toRest(error as ConnectError)) : body;

  const answer = (text: string): Answer => ({
    status,
    headers: {
      ...Object.fromEntries(Object.entries(headers).map(([header, value]) => [header, fill(value)])),
      ...(contentType !== null && { 'content-type': contentType }),
    },
    body: isGzip ? gzipSync(text) : text,
  });
  const forms = isConnectError ? [body, JSON.stringify(withoutDebug(error as ConnectError))] : [body];
  return {
    name,
    kind: kindOf(entry, restBody),
    call: operation === '-' || operation === 'NoSuchMethod' ? 'ResendPhoneCode' : (operation as Call),
    mode: modeOf(entry),
    isError: status >= 300 || typeof json?.details !== 'object',
    answers: isConnect
      ? { rest: [], connect: forms.map(answer) }
      : { rest: [answer(body)], connect: [overConnect(answer(body))] },
    body: restBody,
  };
}

const recordedAnswers = corpus.map(readEntry);

export const recordedErrors = recordedAnswers.filter(({ isError }) => isError);
export const recordedSuccesses = recordedAnswers.filter(({ isError }) => !isError);
