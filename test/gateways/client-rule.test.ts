import { readFileSync } from 'node:fs';
import { compileFunction } from 'node:vm';
import { expect, test } from 'vitest';
import type { Misbehaviour } from '../../src/embedded-zitadel/embedded-zitadel.js';
import { users } from '../../src/embedded-zitadel/population.js';
import type { Outcome } from '../../src/errors.js';
import { openBalancer, type Disturbance } from '../support/balancer.js';
import { gateways, openApolloGateway, openHiveGateway, secret, type OpenGateway } from './gateways.js';
import { manager, openStage, unverified } from '../support/stage.js';
import { openAccounts, supergraphSdl } from './supergraph.js';

interface Answer {
  data?: Record<string, object | null> | null;
  errors?: { path?: (string | number)[]; extensions?: { outcome?: Outcome | undefined } }[];
}

/** The client's rule: the function in the documentation, as its readers get it. */
const outcomeOf = (() => {
  const [, block = ''] = /^```js\n(.*?)^```/ms.exec(readFileSync('docs/errors.md', 'utf8')) ?? [];
  return (compileFunction(`${block} return outcomeOf;`) as () => (field: string, answer?: Answer) => Outcome)();
})();

/** A frontend's view: of the subgraph alone, or of a gateway in front of it. In between is a balancer. */
async function openFront(openGateway: OpenGateway | undefined, routerSecret: string) {
  const stage = await openStage({ ROUTER_SECRETS: routerSecret });
  const balancer = await openBalancer(stage.graphql);
  const accounts = await openAccounts();
  const gateway = await openGateway?.(supergraphSdl({ 'contact-phone': balancer.url, accounts: accounts.url }));
  const headers = { 'content-type': 'application/json', ...manager, ...(!gateway && { 'x-router-secret': secret }) };
  return {
    stage,
    balancer,
    /** @returns undefined if there was no answer that can be read */
    async ask(body: object): Promise<Answer | undefined> {
      try {
        const init = { method: 'POST', headers, body: JSON.stringify(body) };
        const response = await fetch(gateway?.url ?? balancer.url, init);
        return (await response.json()) as Answer;
      } catch {
        return undefined;
      }
    },
    /** Whether an SMS was sent to this user. */
    reached: (userId: string) => stage.zitadel.outbox.some((sms) => sms.userId === userId),
    async [Symbol.asyncDispose]() {
      await gateway?.[Symbol.asyncDispose]();
      await balancer[Symbol.asyncDispose]();
      await accounts[Symbol.asyncDispose]();
      await stage[Symbol.asyncDispose]();
    },
  };
}

const fronts: [string, OpenGateway | undefined][] = [
  ['the subgraph alone', undefined],
  ['@apollo/gateway', openApolloGateway],
  ['Hive Gateway', openHiveGateway],
];

const resend = (userId: string, fields = 'verificationCode') =>
  `resendContactPhoneCode(userId: "${userId}") { ${fields} }`;
/** No misbehaviour. */
const proper = { hold: Promise.resolve() };

interface Case {
  query?: string;
  variables?: object;
  misbehaviours?: Misbehaviour[];
  /** Misbehaviour of the next writes. */
  whenWriting?: Misbehaviour[];
  disturbance?: Disturbance;
  routerSecret?: string;
  /** What the rule should return for `it`: in front of the subgraph alone, @apollo/gateway and Hive Gateway. */
  outcomes: [Outcome, Outcome, Outcome];
  /** Whether ZITADEL should have sent the SMS of `it`. */
  isSent: boolean;
}

const done: Case['outcomes'] = ['DONE', 'DONE', 'DONE'];
const notDone: Case['outcomes'] = ['NOT_DONE', 'NOT_DONE', 'NOT_DONE'];
const unknown: Case['outcomes'] = ['UNKNOWN', 'UNKNOWN', 'UNKNOWN'];
/** Gateways that refuse a request themselves know nothing of outcomes. */
const refusedByGateway: Case['outcomes'] = ['NOT_DONE', 'UNKNOWN', 'UNKNOWN'];

const cases: Record<string, Case> = {
  'a success': { outcomes: done, isSent: true },
  'an error below the mutation': {
    query: `mutation { it: ${resend(unverified, 'verificationCode user { contactPhone { number } }')} }`,
    // After the read before the SMS, and the write.
    misbehaviours: [proper, proper, { answer: { status: 500 } }],
    outcomes: done,
    isSent: true,
  },
  'a refusal by ZITADEL': {
    query: `mutation { it: ${resend(users.verified.userId)} }`,
    outcomes: notDone,
    isSent: false,
  },
  'a refusal by the subgraph': {
    query: `mutation { it: setContactPhone(userId: "${unverified}", number: "1") { verificationCode } }`,
    outcomes: notDone,
    isSent: false,
  },
  'a connection to ZITADEL that breaks after the change': {
    whenWriting: [{ reset: true }],
    outcomes: unknown,
    isSent: true,
  },
  'a connection to ZITADEL that breaks in the read before the change': {
    misbehaviours: [{ reset: true }, { reset: true }],
    outcomes: notDone,
    isSent: false,
  },
  'a 503 from ZITADEL before the change': {
    whenWriting: [{ answer: { status: 503 } }],
    outcomes: unknown,
    isSent: false,
  },
  'a syntax error': { query: `mutation { it: ${resend(unverified)}`, outcomes: refusedByGateway, isSent: false },
  'a field that does not exist': {
    query: `mutation { it: ${resend(unverified, 'nothing')} }`,
    outcomes: refusedByGateway,
    isSent: false,
  },
  'a bad variable': {
    query: `mutation ($mode: PhoneCodeMode!) {
      it: resendContactPhoneCode(userId: "${unverified}", mode: $mode) { verificationCode }
    }`,
    variables: { mode: 'BAD' },
    outcomes: refusedByGateway,
    isSent: false,
  },
  'an id that is a number': {
    query: 'mutation ($userId: ID!) { it: resendContactPhoneCode(userId: $userId) { verificationCode } }',
    // The gateways refuse it as docs/routers.md shows.
    variables: { userId: 301000000000000100 },
    outcomes: notDone,
    isSent: false,
  },
  // @apollo/gateway puts errors with an HTTP status of 400 or more out of reach.
  'a wrong router secret': {
    routerSecret: 'S3CR3T-of-another-router',
    outcomes: ['NOT_DONE', 'UNKNOWN', 'NOT_DONE'],
    isSent: false,
  },
  'a subgraph that cannot be reached': { disturbance: 'unreachable', outcomes: unknown, isSent: false },
  'an answer that gets lost': { disturbance: 'lost', outcomes: unknown, isSent: true },
  'a balancer that stops waiting': { disturbance: 'late', outcomes: unknown, isSent: true },
};

test.for(
  fronts.flatMap(([front, openGateway], index) =>
    Object.entries(cases).map(([name, given]) => [front, name, openGateway, given, given.outcomes[index]] as const),
  ),
)('behind %s, a client knows whether a mutation was carried out: %s', async ([, , openGateway, given, outcome]) => {
  await using front = await openFront(openGateway, given.routerSecret ?? secret);
  const { query = `mutation { it: ${resend(unverified)} }`, variables, disturbance } = given;
  const { misbehaviours = [], whenWriting = [] } = given;
  front.stage.zitadel.misbehave(...misbehaviours);
  front.stage.zitadel.misbehaveWhenWriting(...whenWriting);
  if (disturbance) front.balancer.disturb(disturbance);

  const answer = await front.ask({ query, variables });

  const isSent = front.stage.zitadel.outbox.length > 0;
  expect({ outcome: outcomeOf('it', answer), isSent }).toEqual({ outcome, isSent: given.isSent });
  if (outcome !== 'UNKNOWN') expect(isSent).toBe(outcome === 'DONE');
});

test.for(fronts)('behind %s, a client knows which of several mutations were carried out', async ([, openGateway]) => {
  await using front = await openFront(openGateway, secret);
  front.stage.zitadel.misbehaveWhenWriting(proper, proper, { reset: true });
  const set = `setContactPhone(userId: "${users.phoneless.userId}", number: "+41795550103") { verificationCode }`;

  const answer = await front.ask({
    query: `mutation {
      first: ${resend(unverified, 'user { contactPhone { number } }')}
      second: ${resend(users.verified.userId)}
      third: ${set}
      fourth: ${resend('..')}
    }`,
  });

  const outcomes = ['first', 'second', 'third', 'fourth'].map((field) => outcomeOf(field, answer));
  expect(outcomes).toEqual(['DONE', 'NOT_DONE', 'UNKNOWN', 'NOT_DONE']);
  const reached = [unverified, users.verified.userId, users.phoneless.userId].map(front.reached);
  expect(reached).toEqual([true, false, true]);
});

test('a router that repeats a mutation hides what the first request did', async () => {
  const [, openGateway] = gateways[2];
  await using front = await openFront(openGateway, secret);
  front.balancer.disturb('lost');

  const answer = await front.ask({
    query: `mutation { it: removeContactPhone(userId: "${unverified}") { user { id } } }`,
  });

  expect(outcomeOf('it', answer)).toBe('NOT_DONE');
  const { data } = await front.stage.run(
    'contact-phone',
    { userId: unverified },
    { ...manager, 'x-router-secret': secret },
  );
  expect(data?.contactPhoneUser?.contactPhone).toBeNull();
});

const refused = (outcome?: Outcome) => ({ extensions: { outcome } });

test.for<[string, Answer | undefined, Outcome]>([
  ['no answer', undefined, 'UNKNOWN'],
  ['an answer that is not GraphQL', {}, 'UNKNOWN'],
  ['null without an error', { data: { it: null } }, 'UNKNOWN'],
  [
    'null, and an error at another path',
    { data: { it: null }, errors: [{ path: ['b'], ...refused('NOT_DONE') }] },
    'UNKNOWN',
  ],
  ['a result, whatever the errors say', { data: { it: {} }, errors: [refused('NOT_DONE'), refused()] }, 'DONE'],
  [
    'null because something below it could not be null',
    { data: { it: null }, errors: [{ path: ['it', 'user'], ...refused('DONE') }] },
    'DONE',
  ],
  [
    'an error at its path and one without',
    { data: { it: null }, errors: [refused(), { path: ['it'], ...refused('NOT_DONE') }] },
    'NOT_DONE',
  ],
  ['two refusals', { errors: [refused('NOT_DONE'), refused('NOT_DONE')] }, 'NOT_DONE'],
  [
    'a refusal, and a fault of the gateway',
    { data: { it: null }, errors: [refused('NOT_DONE'), refused()] },
    'UNKNOWN',
  ],
])('the rule is safe: %s', ([, answer, outcome]) => {
  expect(outcomeOf('it', answer)).toBe(outcome);
});
