import { createClient } from '@redis/client';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { MemoryStore } from '../src/limits/memory-store.js';
import { Reservations, type Reservation } from '../src/limits/reservations.js';
import { RedisStore } from '../src/limits/redis-store.js';
import {
  budgetOf,
  historyKind,
  type Budget,
  type Settlement,
  type HistoryKind,
  type LimitedCall,
} from '../src/limits/store.js';
import { hasRedis } from './support/has-redis.js';
import { startRedis } from './support/redis.js';

// Random steps on both stores, on clocks that the test sets: they must answer the same, and never allow more than the limits.

const holdMs = 11_000;
const startsAt = Date.parse('2026-01-02T03:04:05Z');
const user = historyKind('user', [
  { count: 1, seconds: 30 },
  { count: 3, seconds: 120 },
  { count: 5, seconds: 900 },
]);
const number = historyKind('number', [
  { count: 2, seconds: 30 },
  { count: 4, seconds: 600 },
]);
const guess = historyKind('guess', [{ count: 3, seconds: 600 }]);
const unlimited = historyKind('unlimited', []);
const budgets: Budget[] = [budgetOf('all', { count: 9, seconds: 600 }), budgetOf('CH', { count: 4, seconds: 10 })];

/** An SMS to a user at a number. Only some are in the budget of Switzerland. */
const sms = (userId: number, phone: number): LimitedCall => ({
  histories: [
    { kind: user, id: `u${userId}` },
    { kind: number, id: `n${phone}`, user: `u${userId}` },
  ],
  budgets: phone === 0 ? budgets : budgets.slice(0, 1),
});
/** Many users without a number: mostly, the budgets limit these. */
const crowd: LimitedCall[] = [3, 4, 5, 6, 7, 8].map((userId) => ({
  histories: [{ kind: user, id: `u${userId}` }],
  budgets,
}));
const guesses: LimitedCall[] = ['one', 'two'].map((caller) => ({
  histories: [
    { kind: guess, id: caller },
    { kind: guess, id: 'all' },
  ],
  budgets: [],
}));
const withoutLimits: LimitedCall = { histories: [{ kind: unlimited, id: 'x' }], budgets: budgets.slice(1) };
const requests = [
  ...[0, 1, 2].flatMap((userId) => [0, 1].map((phone) => sms(userId, phone))),
  ...crowd,
  ...guesses,
  withoutLimits,
];

type Step =
  | { do: 'reserve'; request: number }
  | { do: 'settle'; call: number; settlement: Settlement }
  | { do: 'wait'; ms: number }
  | { do: 'set the clock'; ms: number }
  | { do: 'lose everything' };

const reserveStep = fc.record({ do: fc.constant('reserve' as const), request: fc.nat(requests.length - 1) });
const settleStep = fc.record({
  do: fc.constant('settle' as const),
  call: fc.nat(5),
  settlement: fc.constantFrom<Settlement>('keep', 'keep', 'remove', 60_000),
});
const waitStep = fc.record({
  do: fc.constant('wait' as const),
  ms: fc.oneof(fc.nat(50), fc.nat(5_000), fc.nat(40_000), fc.constantFrom(29_999, 30_000, 10_000, 600_000, 900_001)),
});
const setClock = (...ms: number[]): fc.Arbitrary<Step> =>
  fc.record({ do: fc.constant('set the clock' as const), ms: fc.constantFrom(...ms) });
const setBack = setClock(-500, -20_000, -86_400_000);
const setForward = setClock(500, 20_000, 86_400_000);
const loseEverything: fc.Arbitrary<Step> = fc.record({ do: fc.constant('lose everything' as const) });
const stepsWith = (...more: fc.Arbitrary<Step>[]) =>
  fc.array(
    fc.oneof(
      { weight: 5, arbitrary: reserveStep },
      { weight: 4, arbitrary: settleStep },
      { weight: 3, arbitrary: waitStep },
      ...more,
    ),
    {
      minLength: 20,
      maxLength: 80,
    },
  );

/** A RedisStore whose scripts read a clock that the test sets. */
async function openStore() {
  const redis = await startRedis();
  const client = await createClient({ url: redis.url, RESP: 2 }).connect();
  /** The clock of the scripts. */
  const clock = { now: startsAt };
  const atTime = (source: string) =>
    source.replace("redis.call('TIME')", '{ ARGV[2], 0 }').replace('time[1] * 1000', 'time[1] * 1');
  return {
    client,
    clock,
    store: new RedisStore(
      {
        keyPrefix: '{test}:',
        state: 'up',
        run: ({ source }, keys, args) =>
          client.eval(atTime(source), { keys: [...keys], arguments: [...args, String(clock.now)] }),
      },
      holdMs,
    ),
    async [Symbol.asyncDispose]() {
      client.destroy();
      await redis[Symbol.asyncDispose]();
    },
  };
}

/** A call in flight. */
interface Call {
  request: LimitedCall;
  process: number;
  from: number;
  reservation: Reservation;
}

/** A call that had its effect at some time from `from` until `until`. */
interface Done extends Pick<Call, 'request' | 'process' | 'from'> {
  until: number;
}

/** The most of those calls for which `isMeant` that may have had their effects within so many milliseconds. */
function most(done: readonly Done[], ms: number, isMeant: (one: Done) => boolean): number {
  const meant = done.filter(isMeant);
  const within = ({ from }: Done) => meant.filter((one) => one.from <= from && one.until > from - ms).length;
  return Math.max(0, ...meant.map(within));
}

function expectNoExcess(done: readonly Done[]): void {
  const counts = ({ request }: Done, kind: HistoryKind, id: string) =>
    request.histories.some((history) => history.kind === kind && history.id === id);
  for (const kind of [user, guess]) {
    const ids = new Set(
      done.flatMap(({ request }) => request.histories.filter((one) => one.kind === kind)).map(({ id }) => id),
    );
    for (const id of ids)
      for (const { count, seconds } of kind.limits)
        expect(most(done, seconds * 1000, (one) => counts(one, kind, id))).toBeLessThanOrEqual(count);
  }
  for (const id of ['n0', 'n1']) {
    const [shortest, longest] = number.limits;
    expect(most(done, 30_000, (one) => counts(one, number, id))).toBeLessThanOrEqual(shortest?.count ?? 0);
    // The owner has five of their own, by the limits of users.
    expect(most(done, 600_000, (one) => counts(one, number, id))).toBeLessThanOrEqual((longest?.count ?? 0) + 5);
  }
  for (const { name, count, bucketMs } of budgets)
    expect(
      most(done, bucketMs * 60, ({ request }) => request.budgets.some((budget) => budget.name === name)),
    ).toBeLessThanOrEqual(count);
}

afterEach(() => void vi.restoreAllMocks());

describe.runIf(hasRedis)('both stores', () => {
  test('answer the same, step by step', async () => {
    await using opened = await openStore();
    const { client, store } = opened;
    await fc.assert(
      fc.asyncProperty(stepsWith(), async (steps) => {
        await client.flushAll();
        const memory = new MemoryStore(holdMs);
        const clock = stopAt(startsAt);
        const open: { request: LimitedCall; atInMemory: number; atInRedis: number }[] = [];
        for (const step of steps) {
          if (step.do === 'wait') clock.now += step.ms;
          opened.clock.now = clock.now;
          if (step.do === 'reserve') {
            const request = requests[step.request] as LimitedCall;
            const [one, other] = [memory.reserve(request), await store.reserve(request)];
            expect(other).toEqual(one);
            if (one.is === 'reserved' && other?.is === 'reserved')
              open.push({ request, atInMemory: one.at, atInRedis: other.at });
          }
          const [call] = step.do === 'settle' ? open.splice(step.call, 1) : [];
          if (!call || step.do !== 'settle') continue;
          const { request } = call;
          const settlements = request.histories.map(() => step.settlement);
          const one = memory.settle(request, call.atInMemory, settlements);
          expect(await store.settle(request, call.atInRedis, settlements)).toEqual(one);
          expect(await store.standings(request.histories.slice(0, 1))).toEqual(
            request.histories.slice(0, 1).map((history) => memory.standing(history)),
          );
        }
      }),
      { numRuns: 600 },
    );
  });

  test.for([
    ['all processes together, when the clock of Redis is set back', [setBack], (done: readonly Done[]) => [done]],
    [
      'each process, whatever happens to Redis',
      [setBack, setForward, loseEverything],
      (done: readonly Done[]) => [0, 1].map((process) => done.filter((one) => one.process === process)),
    ],
  ] as const)('never allow more than the limits, for %s', async ([, faults, groups]) => {
    await using opened = await openStore();
    const { client, store } = opened;
    const most = { calls: 0 };
    await fc.assert(
      fc.asyncProperty(
        stepsWith(...faults),
        fc.array(fc.nat(1), { minLength: 80, maxLength: 80 }),
        async (steps, turns) => {
          await client.flushAll();
          const clock = stopAt(startsAt);
          let ofRedis = 0;
          const processes = [0, 1].map(() => new Reservations(new MemoryStore(holdMs), store));
          const open: Call[] = [];
          const done: Done[] = [];
          for (const [index, step] of steps.entries()) {
            if (step.do === 'wait') clock.now += step.ms;
            if (step.do === 'set the clock') ofRedis += step.ms;
            if (step.do === 'lose everything') await client.flushAll();
            opened.clock.now = clock.now + ofRedis;
            if (step.do === 'reserve') {
              const process = turns[index] ?? 0;
              const request = requests[step.request] as LimitedCall;
              const reservation = await processes[process]?.reserve(request);
              if (reservation?.is === 'reserved') open.push({ request, process, from: clock.now, reservation });
            }
            if (step.do !== 'settle') continue;
            for (const { request, process, from, reservation } of open.splice(step.call, 1)) {
              await reservation.settle(request.histories.map(() => step.settlement));
              if (step.settlement === 'keep')
                done.push({ request, process, from, until: Math.min(clock.now, from + holdMs) });
            }
          }
          // The calls still open never settle, as if their process had crashed.
          for (const { request, process, from } of open) done.push({ request, process, from, until: from + holdMs });
          for (const group of groups(done)) expectNoExcess(group);
          most.calls = Math.max(most.calls, done.length);
        },
      ),
      { numRuns: 300 },
    );
    // If the steps made few calls, this would prove little.
    expect(most.calls).toBeGreaterThan(9);
  });

  test('forgive a clock that is set back by a day within the longest limit', async () => {
    await using opened = await openStore();
    const { store } = opened;
    const { clock } = opened;
    const request: LimitedCall = { histories: [{ kind: guess, id: 'x' }], budgets: [budgets[0] as Budget] };
    for (const index of [0, 1, 2]) {
      const reserved = await store.reserve(request);
      if (reserved?.is === 'reserved' && index < 2) await store.settle(request, reserved.at, ['keep']);
    }

    clock.now += -86_400_000;
    // Each might be a reservation now, so it is moved to the latest time that a reservation can have.
    expect(await store.reserve(request)).toEqual({ is: 'busy', index: 0 });
    clock.now += holdMs;
    expect(await store.reserve(request)).toEqual({ is: 'full', index: 0, opensInMs: 600_000 });
    clock.now += 599_999;
    expect(await store.reserve(request)).toMatchObject({ is: 'full', opensInMs: 1 });
    clock.now += 1;
    expect(await store.reserve(request)).toMatchObject({ is: 'reserved' });
  });

  test('forgive that in budgets too', async () => {
    await using opened = await openStore();
    const { store } = opened;
    const { clock } = opened;
    const budget = budgetOf('small', { count: 1, seconds: 600 });
    const request: LimitedCall = { histories: [{ kind: unlimited, id: 'x' }], budgets: [budget] };
    const reserved = await store.reserve(request);
    if (reserved?.is === 'reserved') await store.settle(request, reserved.at, ['keep']);

    clock.now += -86_400_000;
    expect(await store.reserve(request)).toMatchObject({ is: 'full', index: 1 });
    clock.now += 600_000 + 10_000 + holdMs;
    expect(await store.reserve(request)).toMatchObject({ is: 'reserved' });
  });

  test.for([
    ['a minute', 60],
    ['a day', 86_400],
  ] as const)(
    'count a crashed call in a budget of %s as in flight until a second after its reservation ends',
    async ([, seconds]) => {
      await using opened = await openStore();
      const { clock, store } = opened;
      const inMemory = stopAt(startsAt);
      const memory = new MemoryStore(holdMs);
      const budget = budgetOf('small', { count: 1, seconds });
      const crashed: LimitedCall = { histories: [{ kind: user, id: 'a' }], budgets: [budget] };
      const next: LimitedCall = { histories: [{ kind: user, id: 'b' }], budgets: [budget] };
      const both = async (request: LimitedCall) => [memory.reserve(request), await store.reserve(request)];
      const same = (answer: object) => [answer, answer];
      expect(await both(crashed)).toEqual(same({ is: 'reserved', at: startsAt + holdMs }));

      clock.now = inMemory.now = startsAt + holdMs;
      expect(await both(next)).toEqual(same({ is: 'busy', index: 1 }));
      clock.now = inMemory.now += 1_000;
      const [refused, other] = await both(next);
      expect(refused).toMatchObject({ is: 'full', index: 1 });
      expect(other).toEqual(refused);
      const opensInMs = refused?.is === 'full' ? refused.opensInMs : 0;
      expect(opensInMs).toBeGreaterThanOrEqual(seconds * 1000 - 1_000);
      expect(opensInMs).toBeLessThanOrEqual(seconds * 1000 + budget.bucketMs);
      clock.now = inMemory.now += opensInMs - 1;
      expect(await both(next)).toEqual(same({ is: 'full', index: 1, opensInMs: 1 }));
      clock.now = inMemory.now += 1;
      expect(await both(next)).toEqual(same({ is: 'reserved', at: clock.now + holdMs }));
    },
  );

  test('do not release a reservation that a budget has lost meanwhile', async () => {
    await using opened = await openStore();
    const { client, store } = opened;
    const request = (id: string): LimitedCall => ({
      histories: [{ kind: user, id }],
      budgets: [budgetOf('small', { count: 1, seconds: 600 })],
    });
    const lost = await store.reserve(request('a'));
    await client.flushAll();
    expect(await store.reserve(request('b'))).toMatchObject({ is: 'reserved' });

    if (lost?.is === 'reserved') await store.settle(request('a'), lost.at, ['remove']);

    expect(await store.reserve(request('c'))).toEqual({ is: 'busy', index: 1 });
  });
});

/** Both stores, on one clock, and what each answers. */
async function openBoth() {
  const opened = await openStore();
  const inMemory = stopAt(startsAt);
  const memory = new MemoryStore(holdMs);
  return {
    pass: (ms: number) => void (opened.clock.now = inMemory.now += ms),
    reserve: async (request: LimitedCall) => {
      const answer = memory.reserve(request);
      expect(await opened.store.reserve(request)).toEqual(answer);
      return answer;
    },
    settle: async (request: LimitedCall, at: number) => {
      memory.settle(request, at, ['keep']);
      await opened.store.settle(request, at, ['keep']);
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

const inSmall = (seconds: number, id = 'x', kind = unlimited): LimitedCall => ({
  histories: [{ kind, id }],
  budgets: [budgetOf('small', { count: 1, seconds })],
});
const smallKey = '{test}:budget:small';

describe.runIf(hasRedis)('both stores', () => {
  test("bind a number's owner by its shortest limit only, and everybody else by all", async () => {
    await using both = await openBoth();
    const { pass, reserve, settle } = both;
    const by = (id: string): LimitedCall => ({ histories: [{ kind: number, id: 'n', user: id }], budgets: [] });
    const send = async (id: string) => {
      const reserved = await reserve(by(id));
      if (reserved.is === 'reserved') await settle(by(id), reserved.at);
      return reserved;
    };

    for (let times = 0; times < 4; times += 1) {
      expect(await send('owner')).toMatchObject({ is: 'reserved' });
      pass(30_000);
    }
    expect(await send('other')).toEqual({ is: 'full', index: 0, opensInMs: 600_000 - 120_000 });
    for (const is of ['reserved', 'reserved']) expect(await send('owner')).toMatchObject({ is });
    expect(await send('owner')).toEqual({ is: 'full', index: 0, opensInMs: 30_000 });
  });

  test('report when a budget opens that has more calls than it allows, in whatever order they ended', async () => {
    await using both = await openBoth();
    const request = inSmall(600);
    both.pass(30_000);
    // As if their reservations had been lost.
    for (const at of [30_000, 5_000, 15_000]) await both.settle(request, startsAt + at);

    // The last of its three buckets ends five seconds from now.
    expect(await both.reserve(request)).toEqual({ is: 'full', index: 1, opensInMs: 5_000 + 600_000 });
  });
});

describe.runIf(hasRedis)('the store in Redis', () => {
  test('holds no more than the limits need, however much was settled', async () => {
    await using opened = await openStore();
    const { client, clock, store } = opened;
    const request = inSmall(10, 'x', guess);
    for (let times = 0; times < 100; times += 1) {
      await store.settle(request, clock.now, ['keep']);
      await store.reserve(request);
      clock.now += 1_000;
    }

    expect((await client.get('{test}:guess:x'))?.split(',')).toHaveLength(3);
    expect(await client.hLen(smallKey)).toBeLessThanOrEqual(12);
  });

  test('holds nothing of a call that does not count', async () => {
    await using opened = await openStore();
    const request = inSmall(600, 'x', guess);
    const reserved = await opened.store.reserve(request);
    if (reserved?.is === 'reserved') await opened.store.settle(request, reserved.at, ['remove']);

    expect(await opened.client.keys('*')).toEqual([]);
  });

  test('keeps a budget until its last call has left it, and not for much longer', async () => {
    await using opened = await openStore();
    const { client, store } = opened;
    const [day, bucket] = [86_400_000, 1_440_000];
    const request = inSmall(86_400);
    const expectExpiry = async () => {
      const endsInMs = await client.pTTL(smallKey);
      expect(endsInMs).toBeGreaterThan(day + bucket / 2);
      expect(endsInMs).toBeLessThanOrEqual(day + bucket + holdMs + 1_000);
    };

    const reserved = await store.reserve(request);
    await expectExpiry();
    await client.persist(smallKey);
    if (reserved?.is === 'reserved') await store.settle(request, reserved.at, ['keep']);
    await expectExpiry();
  });

  test('counts right in a budget that Redis has evicted alone', async () => {
    await using opened = await openStore();
    const { client, store } = opened;
    const reserved = await store.reserve(inSmall(600, 'a', user));
    await client.del(smallKey);
    if (reserved?.is === 'reserved') await store.settle(inSmall(600, 'a', user), reserved.at, ['remove']);

    expect(await store.reserve(inSmall(600, 'b', user))).toMatchObject({ is: 'reserved' });
    expect(await store.reserve(inSmall(600, 'c', user))).toEqual({ is: 'busy', index: 1 });
  });
});

describe('the store in memory', () => {
  const to = (id: string | number): LimitedCall => ({ histories: [{ kind: guess, id: String(id) }], budgets: [] });
  const fill = (memory: MemoryStore, id: string | number) => {
    for (let times = 0; times < 3; times += 1) memory.reserve(to(id));
  };

  test('forgets the oldest histories when there are too many', () => {
    stopAt(startsAt);
    const memory = new MemoryStore(holdMs, 100);
    const ids = [...Array(500).keys()];
    for (const id of ids) fill(memory, id);

    const known = ids.filter((id) => memory.standing({ kind: guess, id: String(id) }).remaining === 0);
    expect(known).toEqual(ids.slice(-known.length));
    expect(known.length).toBeGreaterThanOrEqual(50);
    expect(known.length).toBeLessThanOrEqual(100);
  });

  test('forgets none because of calls that do not count', () => {
    stopAt(startsAt);
    const memory = new MemoryStore(holdMs, 4);
    fill(memory, 'a');
    for (let id = 0; id < 10; id += 1) {
      const reserved = memory.reserve(to(id));
      if (reserved.is === 'reserved') memory.settle(to(id), reserved.at, ['remove']);
    }

    expect(memory.reserve(to('a'))).toEqual({ is: 'busy', index: 0 });
  });

  test('remembers a call that never ended for as long as its limit, whatever else it remembers', () => {
    const clock = stopAt(startsAt);
    for (let before = 0; before < 600; before += 30) {
      const memory = new MemoryStore(holdMs);
      const pass = (seconds: number) => {
        for (let second = 0; second < seconds; second += 1) {
          clock.now += 1_000;
          memory.reserve(to(`${before} ${second}`));
        }
      };
      fill(memory, 'first');
      pass(before);
      fill(memory, 'a');
      pass(holdMs / 1_000 + 599);
      expect(memory.reserve(to('a'))).toEqual({ is: 'full', index: 0, opensInMs: 1_000 });
    }
  });
});

/** Stops the clock of the stores in memory. */
function stopAt(now: number) {
  const clock = { now };
  vi.spyOn(performance, 'now').mockImplementation(() => clock.now);
  return clock;
}
