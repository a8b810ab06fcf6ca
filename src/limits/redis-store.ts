import type { RedisConnection } from './redis-connection.js';
import { reserve, settle, standings, wasCleared } from './scripts.js';
import {
  type Settlement,
  type History,
  type HistoryKind,
  type LimitedCall,
  type ReserveResult,
  type Standing,
} from './store.js';

/** The store in Redis, which all processes share. Each step is one script. The result is undefined if Redis gave no answer. */
export class RedisStore {
  constructor(
    private readonly redis: Pick<RedisConnection, 'keyPrefix' | 'run' | 'state'>,
    private readonly holdMs: number,
  ) {}

  get isUp(): boolean {
    return this.redis.state === 'up';
  }

  async reserve(call: LimitedCall): Promise<ReserveResult | undefined> {
    const answer = await this.redis.run(reserve, this.keysOf(call), [this.argumentFor(call)]);
    if (!answer) return undefined;
    const [is, number, opensInMs = 0] = answer as [ReserveResult['is'], number, number?];
    if (is === 'reserved') return { is, at: number };
    return is === 'full' ? { is, index: number, opensInMs } : { is, index: number };
  }

  /** @param cleared histories to clear in the same step */
  async settle(
    call: LimitedCall,
    at: number,
    settlements: readonly Settlement[],
    cleared: readonly History[] = [],
  ): Promise<Standing[] | undefined> {
    const keys = [...this.keysOf(call), ...cleared.flatMap((history) => this.keysToClear(history))];
    const markMs = Math.max(0, ...cleared.map(({ kind }) => kind.longestMs)) + this.holdMs;
    return toStandings(await this.redis.run(settle, keys, [this.argumentFor(call, { at, settlements, markMs })]));
  }

  /** What these histories allow now, in one round trip. All must be of the same kind. */
  async standings(all: readonly History[]): Promise<Standing[] | undefined> {
    const [first] = all;
    if (!first) return [];
    const keys = all.map((history) => this.keyOf(history));
    return toStandings(await this.redis.run(standings, keys, [this.argumentAbout(first)]));
  }

  /** Whether a process has cleared the history, and it allows a call. False for a history that Redis merely lost: it is not marked. */
  async wasCleared(history: History): Promise<boolean> {
    return Number(await this.redis.run(wasCleared, this.keysToClear(history), [this.argumentAbout(history)])) > 0;
  }

  private argumentAbout({ kind }: History): string {
    return JSON.stringify({ hold: this.holdMs, limits: limitsOf(kind) });
  }

  private argumentFor({ histories, budgets }: LimitedCall, more: object = {}): string {
    return JSON.stringify({
      hold: this.holdMs,
      histories: histories.map(({ kind, user }) => ({ limits: limitsOf(kind), user })),
      budgets: budgets.map(({ count, bucketMs }) => [count, bucketMs]),
      ...more,
    });
  }

  private keysOf({ histories, budgets }: LimitedCall): string[] {
    return [
      ...histories.map((history) => this.keyOf(history)),
      ...budgets.map(({ name }) => `${this.redis.keyPrefix}budget:${name}`),
    ];
  }

  /** The key of a history, and the key that marks it as cleared. */
  private keysToClear({ kind, id }: History): [string, string] {
    return [this.keyOf({ kind, id }), `${this.redis.keyPrefix}${kind.name}-cleared:${id}`];
  }

  private keyOf({ kind, id }: Omit<History, 'user'>): string {
    return `${this.redis.keyPrefix}${kind.name}:${id}`;
  }
}

function limitsOf({ limits }: HistoryKind): [count: number, ms: number][] {
  return limits.map(({ count, seconds }) => [count, seconds * 1000]);
}

function toStandings(answer: unknown): Standing[] | undefined {
  const all = answer as [opensInMs: number, remaining: number, owner?: string][] | undefined;
  return all?.map(([opensInMs, remaining, owner]) => ({ opensInMs, remaining, owner }));
}
