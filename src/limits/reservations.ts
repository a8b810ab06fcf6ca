import { setTimeout as pause } from 'node:timers/promises';
import type { ErrorReason } from '../errors.js';
import { Failure } from '../failure.js';
import type { Rank } from './callers.js';
import { Lines, type Attempt, type Waiting } from './line.js';
import type { MemoryStore } from './memory-store.js';
import { MissedCalls } from './missed-calls.js';
import type { RedisStore } from './redis-store.js';
import type { Settlement, History, LimitedCall, ReserveResult, Standing } from './store.js';

/** A reservation in all histories and budgets of one call. */
export interface Reservation {
  readonly is: 'reserved';
  /**
   * Must be called once, when the call has ended.
   *
   * @param settlements for each history; a budget keeps the call unless the first is `remove`
   * @param cleared other histories to clear
   * @returns what each history allows now
   */
  settle(settlements: readonly Settlement[], cleared?: readonly History[]): Promise<Standing[]>;
}

export type Refused = Exclude<ReserveResult, { is: 'reserved' }>;

/** @param reason for a limit that is full even without the calls in flight */
export function refusal(reason: ErrorReason<'RATE_LIMITED'>, refused: Refused): Failure {
  if (refused.is === 'busy') return new Failure({ code: 'RATE_LIMITED', reason: 'IN_PROGRESS' }, { retryAfter: 1 });
  return new Failure({ code: 'RATE_LIMITED', reason }, { retryAfter: Math.ceil(refused.opensInMs / 1000) });
}

/** The shortest pause between two polls; the longest is twice that. */
const pollMs: Record<Rank, number> = { accepted: 5, unknown: 10, refused: 30 };

/**
 * Reserves in memory, then in Redis while it is up. Memory comes first: it is cheap, and has every call of this process, even those that
 * Redis has lost. Settling starts with Redis: settling in memory wakes the next caller in line, who then needs room in Redis too.
 */
export class Reservations {
  private readonly lines = new Lines();
  private readonly missed: MissedCalls | undefined;

  constructor(
    private readonly memory: MemoryStore,
    private readonly redis: RedisStore | undefined,
  ) {
    this.missed = redis && new MissedCalls(redis);
  }

  /**
   * Reserves in all histories and budgets of a call, or in none. If a history is full only because of calls in flight, waits in line.
   *
   * @param waiting undefined to refuse instead of waiting
   */
  async reserve(call: LimitedCall, waiting?: Waiting): Promise<Reservation | Refused> {
    const waitsUntil = performance.now() + (waiting?.maxMs ?? 0);
    const attempt: Attempt = () => {
      const reserved = this.memory.reserve(call);
      const history = reserved.is === 'busy' ? call.histories[reserved.index] : undefined;
      const owner = history && this.memory.standing(history).owner;
      // If a number has an owner, only they may wait for it: others could fill the line.
      const mayWait = owner === undefined || owner === history?.user;
      return { reserved, line: history && mayWait ? lineOf(history) : undefined };
    };
    const first = attempt();
    const hasWaited = first.line !== undefined && waiting !== undefined;
    const inMemory = hasWaited ? await this.lines.wait(first, waiting, attempt) : first.reserved;
    if (inMemory.is !== 'reserved') return inMemory;
    const inRedis = await this.reserveInRedis(call, waitsUntil, hasWaited, waiting);
    if (inRedis && inRedis.is !== 'reserved') {
      const removed = call.histories.map(() => 'remove' as const);
      this.settleInMemory(call, inMemory.at, removed);
      return inRedis;
    }
    return {
      is: 'reserved',
      settle: async (settlements, cleared = []) => {
        // If Redis reserved, but its answer was lost, the reservation stays there, as if this process had crashed.
        const redisStandings = inRedis && (await this.redis?.settle(call, inRedis.at, settlements, cleared));
        if (!inRedis) this.missed?.add(call, settlements);
        const standings = this.settleInMemory(call, inMemory.at, settlements, redisStandings);
        for (const history of cleared) this.memory.clear(history);
        return standings.map((standing, index) => stricter(standing, redisStandings?.[index]));
      },
    };
  }

  /** What these histories allow now, in one round trip to Redis. All must be of the same kind. */
  async standings(histories: readonly History[]): Promise<Standing[]> {
    const inRedis = await this.redis?.standings(histories);
    return histories.map((history, index) => stricter(this.memory.standing(history), inRedis?.[index]));
  }

  /** Clears these histories in memory and in Redis, and marks them as cleared for the other processes. */
  async clear(histories: readonly History[]): Promise<[]> {
    if (histories.length > 0) await this.redis?.settle({ histories: [], budgets: [] }, 0, [], histories);
    for (const history of histories) this.memory.clear(history);
    return [];
  }

  /** Call this when Redis is up again. */
  async shareMissed(): Promise<void> {
    await this.missed?.share();
  }

  /** Whether another process has cleared the history. If so, clears it in memory too. */
  async wasCleared(history: History): Promise<boolean> {
    const isCleared = (await this.redis?.wasCleared(history)) ?? false;
    if (isCleared) this.memory.clear(history);
    return isCleared;
  }

  /** Polls while a history is busy, since other processes do not announce outcomes. Better ranks poll more often, so they tend to go first. */
  private async reserveInRedis(
    call: LimitedCall,
    waitsUntil: number,
    hasWaited: boolean,
    waiting?: Waiting,
  ): Promise<ReserveResult | undefined> {
    if (!this.redis) return undefined;
    const wait = (rank: Rank) => pause(pollMs[rank] * (1 + Math.random()));
    // A line in one process must not hold up a better rank in another.
    if (waiting?.rank === 'refused' || (hasWaited && waiting?.rank === 'unknown')) await wait(waiting.rank);
    for (;;) {
      const reserved = await this.redis.reserve(call);
      const isHistory = reserved?.is === 'busy' && reserved.index < call.histories.length;
      if (!isHistory || !waiting || performance.now() >= waitsUntil || waiting.isGone()) return reserved;
      // Give up the reservation in memory if a better rank is in line here: it is the only one that this process can hold.
      if (call.histories.some((history) => this.lines.hasBetter(waiting.rank, lineOf(history)))) return reserved;
      await wait(waiting.rank);
    }
  }

  private settleInMemory(
    call: LimitedCall,
    at: number,
    settlements: readonly Settlement[],
    inRedis?: readonly Standing[],
  ): Standing[] {
    const standings = this.memory.settle(call, at, settlements, inRedis);
    // The number's line comes before the user's: one user with many tokens could keep a number busy.
    for (const history of call.histories.toReversed()) this.lines.offer(lineOf(history));
    return standings;
  }
}

function lineOf({ kind, id }: History): string {
  return `${kind.name}:${id}`;
}

function stricter(one: Standing, other: Standing = one): Standing {
  return { opensInMs: Math.max(one.opensInMs, other.opensInMs), remaining: Math.min(one.remaining, other.remaining) };
}
