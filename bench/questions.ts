import { isDeepStrictEqual } from 'node:util';

/** As long as an opaque token of ZITADEL. */
export const authorization = `Bearer ${'Kx7dQm2Zr9'.repeat(9)}`;

let tokens = 0;
const nextNumber = () => String((tokens += 1)).padStart(15, '0');
const base64url = (text: string) => Buffer.from(text).toString('base64url');
const nextOpaqueToken = () => `Bearer ${authorization.slice('Bearer '.length, -15)}${nextNumber()}`;

const jwtHeader = base64url('{"alg":"RS256","kid":"301000000000000099","typ":"JWT"}');
/** Of the length of an RS256 signature. No one checks it here. */
const signature = 'Kx7dQm2Zr9'.repeat(35).slice(0, 342);
/** With the claims of an access token of ZITADEL. */
function nextJwt(): string {
  const n = nextNumber();
  const claims =
    `{"iss":"https://example.zitadel.cloud","sub":"301${n}","aud":["301000000000000201","301000000000000202","301000000000000203"],` +
    `"exp":1795809845,"iat":1795766645,"nbf":1795766645,"client_id":"301000000000000201","jti":"V2_${n}-at_${n}"}`;
  return `Bearer ${jwtHeader}.${base64url(claims)}.${signature}`;
}

/** The gateway over OpenAPI has a different schema. */
export type Schema = 'subgraph' | 'openapi';

export interface Question {
  name: string;
  title: string;
  /** The number of entities per request. */
  entities: number;
  /** The body of the next request, for a new user. */
  next(schema: Schema): string;
  /** Whether every field of the answer to the first request is right. */
  isRight(answer: unknown): boolean;
  /** Occurs in every right answer; cheap to check. */
  mark: string;
  /** One token for all requests if omitted. */
  nextAuthorization?: () => string;
}

/** These sum up the others. */
export const mainQuestions: readonly string[] = ['send', 'return', 'refused', 'entities-100'];

const fields = '{ details { sequence changeDate resourceOwner } verificationCode }';
const resend: Record<Schema, string> = {
  subgraph: `mutation Resend($userId: ID!, $mode: PhoneCodeMode!) { resendContactPhoneCode(userId: $userId, mode: $mode) ${fields} }`,
  openapi: `mutation Resend($userId: String!, $input: ResendPhoneCodeRequest_Input) { resendContactPhoneCode(userId: $userId, input: $input) ${fields} }`,
};
const entities =
  'query Phones($representations: [_Any!]!) { _entities(representations: $representations) { ... on User { contactPhone { number isVerified } } } }';

const details = { sequence: '2', changeDate: '2026-11-23T19:04:05.123456Z', resourceOwner: '301000000000000001' };

let users = 0;
/** In the format of ZITADEL's ids. The prefix selects what the stub of ZITADEL answers. */
const nextUser = (prefix: string) => prefix + String((users += 1)).padStart(15, '0');

export type Mode = 'SEND_CODE' | 'RETURN_CODE';

export function bodyOfResend(schema: Schema, mode: Mode, userId: string): string {
  const variables =
    schema === 'subgraph'
      ? { userId, mode }
      : { userId, input: mode === 'SEND_CODE' ? { sendCode: {} } : { returnCode: {} } };
  return JSON.stringify({ query: resend[schema], variables });
}

function questionOfResend(name: string, title: string, mode: Mode, verificationCode: string | null): Question {
  return {
    name,
    title,
    entities: 0,
    next: (schema) => bodyOfResend(schema, mode, nextUser('302')),
    isRight: (answer) => isDeepStrictEqual(answer, { data: { resendContactPhoneCode: { details, verificationCode } } }),
    mark: '"changeDate":"2026-11-23T19:04:05.123456Z"',
  };
}

function questionOfEntities(count: number): Question {
  const contactPhone = { number: '+41795550101', isVerified: true };
  return {
    name: `entities-${count}`,
    title: count === 1 ? '`_entities` with 1 representation' : `\`_entities\` with ${count} representations`,
    entities: count,
    next() {
      const representations = Array.from({ length: count }, () => ({ __typename: 'User', id: nextUser('301') }));
      return JSON.stringify({ query: entities, variables: { representations } });
    },
    isRight: (answer) =>
      isDeepStrictEqual(answer, { data: { _entities: Array.from({ length: count }, () => ({ contactPhone })) } }),
    mark: '"number":"+41795550101"',
  };
}

const send = questionOfResend('send', '`resendContactPhoneCode` with SEND_CODE', 'SEND_CODE', null);
const returnCode = questionOfResend('return', '`resendContactPhoneCode` with RETURN_CODE', 'RETURN_CODE', '7QK2ZD');

export const questions: readonly Question[] = [
  send,
  returnCode,
  {
    name: 'refused',
    title: '`resendContactPhoneCode` with RETURN_CODE, which ZITADEL refuses with 403',
    entities: 0,
    next: (schema) => bodyOfResend(schema, 'RETURN_CODE', nextUser('403')),
    isRight(answer) {
      const { errors, data } = answer as { errors?: unknown[]; data?: { resendContactPhoneCode?: unknown } };
      return (
        errors?.length === 1 && JSON.stringify(errors).includes('"code":7') && data?.resendContactPhoneCode === null
      );
    },
    mark: '"code":7',
  },
  ...[1, 10, 100, 1000].map(questionOfEntities),
  {
    ...send,
    name: 'opaque-tokens',
    title: 'SEND_CODE, each time with a new opaque token',
    nextAuthorization: nextOpaqueToken,
  },
  { ...send, name: 'jwts', title: 'SEND_CODE, each time with a new JWT', nextAuthorization: nextJwt },
  { ...returnCode, name: 'gateway', title: 'RETURN_CODE through a gateway' },
];
