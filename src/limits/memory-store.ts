import { Generations } from './generations.js';
import { BudgetCalls } from './memory-budget.js';
import {
  type Budget,
  type Settlement,
  type History,
  type HistoryKind,
  type LimitedCall,
  type ReserveResult,
  type Standing,
  type Availability,
} from './store.js';

/** A history. Its times are sorted, and those in the future are reservations. */
interface Entries {
  readonly times: readonly number[];
  readonly owner: string | undefined;
}

/** The store in this process's memory. It uses `performance.now()`, because setting the system clock must not affect the limits. */
export class MemoryStore {
  private readonly kinds = new Map<HistoryKind, Generations<Entries>>();
  private readonly budgets = new Map<string, BudgetCalls>();

  /**
   * @param holdMs how long a reservation lasts: the longest time after which its call can still have an effect
   * @param maxHistories per kind; if there are more, the oldest may be dropped early
   */
  constructor(
    private readonly holdMs: number,
    private readonly maxHistories = 1_000_000,
  ) {}

  /** Reserves in all histories and budgets, or in none. */
  reserve({ histories, budgets }: LimitedCall): ReserveResult {
    const now = performance.now();
    const entries = histories.map((history) => this.entriesOf(history, now));
    const all = [
      ...histories.map((history, index) => availabilityOf(entries[index], history, now)),
      ...budgets.map((budget) => this.callsOf(budget).availability(now)),
    ];
    const opensInMs = Math.max(...all.map((one) => one.opensInMs));
    if (opensInMs > 0) return { is: 'full', index: all.findIndex((one) => one.opensInMs === opensInMs), opensInMs };
    const busy = all.findIndex((one) => one.isBusy);
    if (busy >= 0) return { is: 'busy', index: busy };

    const at = now + this.holdMs;
    for (const [index, history] of histories.entries()) {
      const { times, owner } = entries[index] ?? noEntries;
      this.write(history, { times: withTime(times, at), owner });
    }
    for (const budget of budgets) this.callsOf(budget).reserve(at);
    return { is: 'reserved', at };
  }

  /**
   * @param settlements for each history; a budget keeps the call unless the first is `remove`
   * @param inRedis the result of the same step in Redis, where a history may already have an owner that this process does not know
   */
  settle(
    { histories, budgets }: LimitedCall,
    at: number,
    settlements: readonly Settlement[],
    inRedis?: readonly Standing[],
  ): Standing[] {
    const now = performance.now();
    const entries = histories.map((history) => this.entriesOf(history, now) ?? noEntries);
    for (const budget of budgets) {
      // If the history has lost the reservation, the budget may have too. Then this would release the reservation of another call.
      if (entries[0]?.times.includes(at)) this.callsOf(budget).release(at);
      if (settlements[0] !== 'remove') this.callsOf(budget).settle(Math.min(at, now));
    }
    return histories.map((history, index) => {
      const { kind, user } = history;
      let { times, owner } = entries[index] ?? noEntries;
      const found = times.indexOf(at);
      if (found >= 0) times = times.toSpliced(found, 1);
      const settlement = settlements[index] ?? 'keep';
      if (settlement !== 'remove') {
        const earlyMs = settlement === 'keep' ? 0 : Math.max(0, kind.longestMs - settlement);
        // If the call had an effect, it was before now, and before the reserved time.
        times = withTime(times, Math.min(at, now - earlyMs));
        owner ??= inRedis?.[index]?.owner ?? user;
      }
      const settled = times.length - countAfter(times, now);
      this.write(history, { times: times.slice(Math.max(0, settled - kind.largestCount)), owner });
      return standingOf({ times, owner }, kind, now);
    });
  }

  standing(history: History): Standing {
    const now = performance.now();
    return standingOf(this.entriesOf(history, now), history.kind, now);
  }

  clear(history: History): void {
    this.generationsOf(history).delete(history.id);
  }

  /** Without the times that are too old to count. */
  private entriesOf(history: History, now: number): Entries | undefined {
    const entries = this.generationsOf(history).get(history.id);
    const first = entries?.times.findIndex((time) => time > now - history.kind.longestMs) ?? -1;
    if (!entries || first < 0) return undefined;
    return first === 0 ? entries : { ...entries, times: entries.times.slice(first) };
  }

  private write(history: History, entries: Entries): void {
    if (entries.times.length === 0) this.clear(history);
    else this.generationsOf(history).set(history.id, entries);
  }

  private generationsOf({ kind }: History): Generations<Entries> {
    let found = this.kinds.get(kind);
    if (!found) this.kinds.set(kind, (found = new Generations(kind.longestMs + this.holdMs, this.maxHistories / 2)));
    return found;
  }

  private callsOf(budget: Budget): BudgetCalls {
    let calls = this.budgets.get(budget.name);
    if (!calls) this.budgets.set(budget.name, (calls = new BudgetCalls(budget)));
    return calls;
  }
}

const noEntries: Entries = { times: [], owner: undefined };

function availabilityOf({ times, owner } = noEntries, { kind, user }: History, now: number): Availability {
  const settled = times.length - countAfter(times, now);
  let opensInMs = 0;
  let isBusy = false;
  for (const { count, seconds } of owner !== undefined && owner === user ? kind.limits.slice(0, 1) : kind.limits) {
    const since = now - seconds * 1000;
    const first = times[settled - count];
    if (first !== undefined && first > since) opensInMs = Math.max(opensInMs, first - since);
    isBusy ||= countAfter(times, since) >= count;
  }
  return { opensInMs, isBusy };
}

/** Counts a call in flight as if its SMS had been sent now. */
function standingOf({ times, owner } = noEntries, kind: HistoryKind, now: number): Standing {
  let opensInMs = 0;
  let remaining = kind.largestCount;
  for (const { count, seconds } of kind.limits) {
    const since = now - seconds * 1000;
    remaining = Math.min(remaining, Math.max(0, count - countAfter(times, since)));
    const first = times.at(-count);
    if (first !== undefined && first > since) opensInMs = Math.max(opensInMs, Math.min(first, now) - since);
  }
  return { opensInMs, remaining, owner };
}

function countAfter(times: readonly number[], moment: number): number {
  return times.length - 1 - times.findLastIndex((time) => time <= moment);
}

function withTime(times: readonly number[], time: number): number[] {
  return times.toSpliced(times.findLastIndex((other) => other <= time) + 1, 0, time);
}
