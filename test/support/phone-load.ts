import { EventEmitter, once } from 'node:events';
import { crowd, moreTokens } from './crowd.js';
import type { BalancedAnswer } from './keep-alive-balancer.js';
import { bearer, manager, type GraphQLAnswer } from './stage.js';

/** As many journeys at a time. */
const lanes = 16;
const usersPerBatch = 20;
const usersPerNumber = 8;
export const wrongCode = 'WRONG1';

const resend = `mutation ($userId: ID!, $mode: PhoneCodeMode) {
  resendContactPhoneCode(userId: $userId, mode: $mode) { verificationCode resendAvailableAt }
}`;
const set = `mutation ($userId: ID!, $number: PhoneNumber!) {
  setContactPhone(userId: $userId, number: $number) { resendAvailableAt }
}`;
const verify = `mutation ($userId: ID!, $verificationCode: VerificationCode!) {
  verifyContactPhone(userId: $userId, verificationCode: $verificationCode) { user { id } }
}`;
const read = 'query ($userId: ID!) { contactPhone(userId: $userId) { number resendAvailableAt } }';
const batch = `query ($representations: [_Any!]!) {
  _entities(representations: $representations) { ... on User { contactPhone { number isVerified } } }
}`;

interface Person {
  userId: string;
  headers: Record<string, string>;
  /** How many answers said that an SMS was sent to them. */
  sms: number;
}

/** The users of one part of a test. */
export interface Cohort {
  /** Those who were sent SMS, or should have been. */
  called: Person[];
  /** Those for whom wrong codes are tried, again and again. */
  guessed: Person[];
  /** Those that several users set. */
  numbers: string[];
  /** Ends its part. Resolves when all its requests have been answered. */
  stop(): Promise<void>;
}

interface SentRequest {
  kind: string;
  ms: number;
  /** `OK`, the error's reason if the request was refused, or what was wrong with the answer. */
  result: string;
}

/** Users who all have an unverified number of their own, and a token. */
export function population(count: number) {
  const moreUsers = crowd(count).map((user) => ({ ...user, phone: { ...user.phone, isVerified: false } }));
  return { moreUsers, moreTokens: moreUsers.flatMap(({ userId }) => moreTokens(1, { userId })) };
}

/** Clients that keep sending a mix of requests. None repeats a request. */
export function openClients(
  { moreUsers, moreTokens: tokens }: ReturnType<typeof population>,
  post: (body: object, headers: Record<string, string>) => Promise<BalancedAnswer | undefined>,
) {
  const people = moreUsers.map(({ userId }, index) => ({
    userId,
    headers: bearer(tokens[index]?.token ?? ''),
    sms: 0,
  }));
  const newcomers = people.values();
  const requests: SentRequest[] = [];
  const events = new EventEmitter().setMaxListeners(0);
  let numbers = 0;

  const newcomer = (): Person => {
    const { value } = newcomers.next();
    if (!value) throw new Error('There are too few users.');
    return value;
  };
  const send = async (kind: string, query: string, variables: object, headers: Record<string, string> = manager) => {
    const sentAt = performance.now();
    const answer = await post({ query, variables }, headers);
    let result = answer ? `HTTP ${answer.status}` : 'no answer';
    const isAnswered = answer?.status === 200;
    const { data, errors } = (isAnswered ? JSON.parse(answer.body) : {}) as Partial<GraphQLAnswer<object>>;
    const { code, reason, outcome } = errors?.[0]?.extensions ?? {};
    if (isAnswered) result = code ? (outcome === 'NOT_DONE' ? (reason ?? code) : `${code} ${outcome}`) : 'OK';
    requests.push({ kind, ms: performance.now() - sentAt, result });
    events.emit('answer');
    return { data, isOk: result === 'OK' };
  };
  const tap = async (person: Person) => {
    const { isOk } = await send('resend by SMS', resend, { userId: person.userId }, person.headers);
    if (isOk) person.sms += 1;
  };
  const tryCode = (kind: string, { userId, headers }: Person, verificationCode: unknown) =>
    send(kind, verify, { userId, verificationCode }, headers);

  const journeysOf = (cohort: Cohort, all: readonly Cohort[]) => {
    let sets = 0;
    const earlier = (turn: number, group: 'called' | 'guessed') => {
      const people = all[turn % all.length]?.[group] ?? [];
      return people[turn % (people.length || 1)];
    };
    return [
      async function tapTwice() {
        const person = newcomer();
        await Promise.all([tap(person), tap(person)]);
        cohort.called.push(person);
      },
      async function tapAgain(turn: number) {
        const person = earlier(turn, 'called');
        if (person) await tap(person);
      },
      async function verifyWithReturnedCode() {
        const person = newcomer();
        const variables = { userId: person.userId, mode: 'RETURN_CODE' };
        const { data } = await send('RETURN_CODE', resend, variables);
        await tryCode('wrong code', person, wrongCode);
        const { resendContactPhoneCode: result } = (data ?? {}) as {
          resendContactPhoneCode?: { verificationCode: string };
        };
        await tryCode('right code', person, result?.verificationCode);
      },
      async function look(turn: number) {
        const { userId, headers } = people[turn % people.length] as Person;
        const ids = Array.from(
          { length: usersPerBatch },
          (_, index) => people[(turn + 7 * index) % people.length]?.userId,
        );
        await Promise.all([
          send('read', read, { userId }, headers),
          send('router batch', batch, { representations: ids.map((id) => ({ __typename: 'User', id })) }),
        ]);
      },
      async function guess(turn: number) {
        const person = turn % 2 === 0 ? newcomer() : earlier(turn, 'guessed');
        if (!person) return;
        if (turn % 2 === 0) cohort.guessed.push(person);
        for (let tries = 0; tries < 2; tries += 1) await tryCode('wrong code', person, wrongCode);
      },
      async function setSharedNumber() {
        if (sets % usersPerNumber === 0) cohort.numbers.push(`+4179555${String((numbers += 1)).padStart(4, '0')}`);
        sets += 1;
        const number = cohort.numbers.at(-1);
        const person = newcomer();
        const { isOk } = await send('set', set, { userId: person.userId, number });
        if (isOk) person.sms += 1;
      },
    ];
  };

  return {
    people: people as readonly Person[],
    requests: requests as readonly SentRequest[],
    /** Starts the next part, with users of its own. Requests are for them and for the users of these earlier parts. */
    start(...earlier: Cohort[]): Cohort {
      let isOn = true;
      let turns = 0;
      const lane = async () => {
        while (isOn) {
          const turn = (turns += 1);
          await journeys[turn % journeys.length]?.(Math.floor(turn / journeys.length));
        }
      };
      const cohort: Cohort = {
        called: [],
        guessed: [],
        numbers: [],
        stop: async () => {
          isOn = false;
          await Promise.all(working);
        },
      };
      const journeys = journeysOf(cohort, [...earlier, cohort]);
      const working = Array.from({ length: lanes }, lane);
      return cohort;
    },
    /** Resolves after this many more answers, or more answers of this kind. */
    async answered(times: number, is: (request: SentRequest) => boolean = () => true) {
      const from = requests.length;
      while (requests.slice(from).filter(is).length < times) await once(events, 'answer');
    },
  };
}
