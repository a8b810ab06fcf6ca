import { isDeepStrictEqual } from 'node:util';

export const authorization = `Bearer ${'Kx7dQm2Zr9'.repeat(9)}`;

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
}

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

export const questions: readonly Question[] = [
  questionOfResend(
    'send',
    '`resendContactPhoneCode` with SEND_CODE, each time for a different user',
    'SEND_CODE',
    null,
  ),
  questionOfResend('return', '`resendContactPhoneCode` with RETURN_CODE', 'RETURN_CODE', '7QK2ZD'),
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
];
