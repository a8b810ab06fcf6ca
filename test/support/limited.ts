import type { EmbeddedZitadel } from '../../src/embedded-zitadel/embedded-zitadel.js';
import { manager, run, unverified, type GraphQLAnswer } from './stage.js';

// What the stories about servers that share limits do and check.

export const refusedFor = (reason: string) => ({ code: 'RATE_LIMITED', reason, outcome: 'NOT_DONE' });

export const verify = (url: string, headers = manager, verificationCode = 'S3CR3T') =>
  run(`${url}/graphql`, 'verify-contact-phone', { userId: unverified, verificationCode }, headers);
export const set = (url: string, userId: string, number: string, headers = manager) =>
  run(`${url}/graphql`, 'set-contact-phone', { userId, number }, headers);

type Answers = Pick<GraphQLAnswer<object>, 'errors'>[];
export const errorsOf = (answers: Answers) => answers.flatMap(({ errors }) => errors ?? []);
export const reasonsOf = (answers: Answers) => [
  ...new Set(errorsOf(answers).map(({ extensions }) => extensions.reason)),
];

/** The codes that reached ZITADEL. */
export const guessesOf = ({ writes }: EmbeddedZitadel) => writes.filter(({ rpc }) => rpc === 'VerifyPhone');
