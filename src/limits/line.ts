import type { Rank } from './callers.js';
import type { ReserveResult } from './store.js';

/** A caller who waits, and for how long. */
export interface Waiting {
  /** Each caller gets at most one place in a line: see `authenticKeyOf`. */
  readonly callerKey: string;
  readonly rank: Rank;
  /** Whether the caller has hung up. */
  readonly isGone: () => boolean;
  readonly maxMs: number;
}

/** Tries to reserve. If the result is `busy`, `line` is the line to wait in, or undefined if the caller may not wait, as for a budget. */
export type Attempt = () => { reserved: ReserveResult; line: string | undefined };

interface Waiter extends Waiting {
  attempt: Attempt;
  /** The line that they are in now: when one history opens, another may be busy. */
  line: string | undefined;
  leave(reserved: ReserveResult): void;
}

/** The lowest goes first. */
const order: Record<Rank, number> = { accepted: 0, unknown: 1, refused: 2 };
/** In a longer line, the last callers would only time out. */
const maxWaiting = 8;

/** The callers in this process who wait for the outcome of a call in flight. Each busy history has its own line. */
export class Lines {
  private readonly lines = new Map<string, Waiter[]>();

  /** @returns the result of the last attempt: `busy` if the line was full or time ran out */
  wait(busy: ReturnType<Attempt>, waiting: Waiting, attempt: Attempt): Promise<ReserveResult> {
    return new Promise((resolve) => {
      const waiter: Waiter = {
        ...waiting,
        attempt,
        line: busy.line,
        leave: (reserved) => {
          clearTimeout(timer);
          resolve(reserved);
        },
      };
      const giveUp = () => {
        this.remove(waiter);
        resolve(busy.reserved);
      };
      const timer = setTimeout(giveUp, Math.max(1, waiting.maxMs));
      this.join(waiter, busy);
    });
  }

  /** Run this when a call has ended. Everyone in the line tries again, best rank first: each one reserves, is refused, or keeps waiting. */
  offer(line: string): void {
    const waiters = this.lines.get(line) ?? [];
    this.lines.delete(line);
    for (const waiter of waiters) {
      if (waiter.isGone()) continue;
      const next = waiter.attempt();
      if (next.reserved.is === 'busy') this.join(waiter, next);
      else waiter.leave(next.reserved);
    }
  }

  /** Whether a caller with a better rank is waiting in the line. */
  hasBetter(rank: Rank, line: string): boolean {
    return this.waitersIn(line).some((waiter) => order[waiter.rank] < order[rank] && !waiter.isGone());
  }

  private join(waiter: Waiter, { reserved, line }: ReturnType<Attempt>): void {
    waiter.line = line;
    const waiters = this.waitersIn(line).filter((other) => !other.isGone());
    if (line === undefined || waiters.some(({ callerKey }) => callerKey === waiter.callerKey)) {
      waiter.leave(reserved);
      return;
    }
    waiters.splice(waiters.findLastIndex(({ rank }) => order[rank] <= order[waiter.rank]) + 1, 0, waiter);
    for (const last of waiters.splice(maxWaiting)) last.leave(reserved);
    this.lines.set(line, waiters);
  }

  private remove(waiter: Waiter): void {
    const { line } = waiter;
    const others = this.waitersIn(line).filter((other) => other !== waiter);
    if (line !== undefined && others.length > 0) this.lines.set(line, others);
    else if (line !== undefined) this.lines.delete(line);
  }

  private waitersIn(line: string | undefined): Waiter[] {
    return (line !== undefined && this.lines.get(line)) || [];
  }
}
