import type { RedisConnection } from './redis-connection.js';
import { reserve, settle, standings, wasCleared } from './scripts.js';
import {
  type Settlement,
  type History,
  type HistoryKind,
  type Request,
  type ReserveResult,
  type Standing,
} from './store.js';

/** The store in Redis, which all processes share. Each step is one script. A result of undefined means that Redis gave no answer. */
export class RedisStore {
  constructor(
    private readonly redis: Pick<RedisConnection, 'keyPrefix' | 'run'>,
    private readonly holdMs: number,
  ) {}

  async reserve(request: Request): Promise<ReserveResult | undefined> {
    const answer = await this.redis.run(reserve, this.keysOf(request), [this.ask(request)]);
    if (!answer) return undefined;
    const [is, number, opensInMs = 0] = answer as [ReserveResult['is'], number, number?];
    if (is === 'reserved') return { is, at: number };
    return is === 'full' ? { is, index: number, opensInMs } : { is, index: number };
  }

  /** @param cleared histories to clear in the same step */
  async settle(
    request: Request,
    at: number,
    settlements: readonly Settlement[],
    cleared: readonly History[] = [],
  ): Promise<Standing[] | undefined> {
    const keys = [...this.keysOf(request), ...cleared.flatMap((history) => this.keysToClear(history))];
    const markMs = Math.max(0, ...cleared.map(({ kind }) => kind.longestMs)) + this.holdMs;
    return toStandings(await this.redis.run(settle, keys, [this.ask(request, { at, settlements, markMs })]));
  }

  /** What these histories allow now, in one round trip. All must be of one kind. */
  async standings(all: readonly History[]): Promise<Standing[] | undefined> {
    const [first] = all;
    if (!first) return [];
    const keys = all.map((history) => this.keyOf(history));
    return toStandings(await this.redis.run(standings, keys, [this.askAbout(first)]));
  }

  /** Whether any process cleared the history, and it allows a call. A history that Redis merely lost has no such mark. */
  async wasCleared(history: History): Promise<boolean> {
    return Number(await this.redis.run(wasCleared, this.keysToClear(history), [this.askAbout(history)])) > 0;
  }

  private askAbout({ kind }: History): string {
    return JSON.stringify({ hold: this.holdMs, limits: limitsOf(kind) });
  }

  private ask({ histories, budgets }: Request, more: object = {}): string {
    return JSON.stringify({
      hold: this.holdMs,
      histories: histories.map(({ kind, user }) => ({ limits: limitsOf(kind), user })),
      budgets: budgets.map(({ count, bucketMs }) => [count, bucketMs]),
      ...more,
    });
  }

  private keysOf({ histories, budgets }: Request): string[] {
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
