import { Failure } from '../failure.js';
import { failureOf } from '../failures.js';
import type { Deadline } from '../zitadel/exchange.js';
import type { ChangeResponse, ZitadelUser } from '../zitadel/messages.js';

type Kind = 'set' | 'removal' | 'SMS';

/** The calls for one user: those in flight are all of one kind. */
interface Line {
  kind: Kind;
  inFlight: number;
  /** First come, first served, except that all of a kind start together. */
  waiting: Set<{ kind: Kind; start: () => void }>;
}

/** Longer than ZITADEL's reads lag behind, and than it takes to carry out a removal that was not answered. */
const minForbiddenMs = 60_000;

/** A removal that forbids SMS. */
interface Removal {
  /** On the clock of `performance.now()`. */
  until: number;
  /** Whether there is no phone any more. Otherwise it is unknown whether ZITADEL carries the removal out. */
  isCertain: boolean;
  /** Its number among the changes of the user, if it is known. */
  sequence?: string;
}

/**
 * Keeps an SMS away from a phone that is being removed. If a code is pending, ZITADEL sends it even then: to an empty number, ten times, and
 * every other SMS of the instance waits for that. See docs/zitadel.md.
 *
 * So sets, removals and SMS for one user never overlap in this process, and a removal forbids an SMS for a minute, or until the next set:
 * meanwhile a read may still show the removed phone. Calls of one kind do overlap. They may come from anyone with a token, so a caller that
 * ZITADEL will reject must not delay others by more than a call or two.
 */
export class PhoneChanges {
  private readonly lines = new Map<string, Line>();
  /** By user. All forbid SMS equally long, so the oldest come first. */
  private readonly removals = new Map<string, Removal>();
  private readonly forbiddenMs: number;

  /** @param longestCallMs no read before an SMS can be older */
  constructor(longestCallMs: number) {
    this.forbiddenMs = Math.max(minForbiddenMs, longestCallMs);
  }

  set<Answer>(userId: string, deadline: Deadline, call: () => Promise<Answer>): Promise<Answer> {
    return this.inTurn(userId, 'set', deadline, async () => {
      const answer = await call();
      // A removal that was not answered may still be carried out, even after this.
      if (this.removals.get(userId)?.isCertain) this.removals.delete(userId);
      return answer;
    });
  }

  remove(userId: string, deadline: Deadline, call: () => Promise<ChangeResponse>): Promise<ChangeResponse> {
    return this.inTurn(userId, 'removal', deadline, async () => {
      try {
        const answer = await call();
        this.forbidSms(userId, { isCertain: true, sequence: answer.details.sequence });
        return answer;
      } catch (error) {
        const { verdict, facts } = failureOf(error);
        const isDone = verdict.reason === 'NO_PHONE';
        // Any caller may be able to provoke a firewall's 403. That must not forbid SMS to somebody else.
        const isFirewall = facts.call?.kind === 'foreign' && (facts.call.httpStatus ?? 0) < 500;
        if (isDone) this.forbidSms(userId, { ...this.removals.get(userId), isCertain: true });
        else if (facts.outcome !== 'NOT_DONE' && !isFirewall) this.forbidSms(userId, { isCertain: false });
        throw error;
      }
    });
  }

  /**
   * @param user as a read before the call shows them, with a phone
   * @param call has ZITADEL send an SMS to that phone
   * @throws {Failure} NO_PHONE, or IN_PROGRESS if it is unknown whether the phone was removed
   */
  sendSms<Answer>(
    { userId, sequence = '0' }: ZitadelUser,
    deadline: Deadline,
    call: () => Promise<Answer>,
  ): Promise<Answer> {
    return this.inTurn(userId, 'SMS', deadline, () => {
      const removal = this.removals.get(userId);
      const leftMs = removal ? removal.until - performance.now() : 0;
      // A read that shows a later change shows a phone that was set after the removal, perhaps by another process.
      if (!removal || leftMs <= 0 || isAfter(sequence, removal.sequence)) return call();
      if (removal.isCertain) throw new Failure({ code: 'FAILED_PRECONDITION', reason: 'NO_PHONE' });
      throw inProgress(Math.ceil(leftMs / 1000));
    });
  }

  private forbidSms(userId: string, removal: Omit<Removal, 'until'>): void {
    const now = performance.now();
    for (const [id, { until }] of this.removals) {
      if (until > now) break;
      this.removals.delete(id);
    }
    // Moves the user to the end.
    this.removals.delete(userId);
    this.removals.set(userId, { ...removal, until: now + this.forbiddenMs });
  }

  /** @throws {Failure} IN_PROGRESS if other calls take so long that it would be too late to start a write */
  private async inTurn<Answer>(
    userId: string,
    kind: Kind,
    deadline: Deadline,
    call: () => Promise<Answer>,
  ): Promise<Answer> {
    const line = this.lines.get(userId);
    if (!line) this.lines.set(userId, { kind, inFlight: 1, waiting: new Set() });
    else if (line.kind === kind && line.waiting.size === 0) line.inFlight += 1;
    else if (!(await wait(line, kind, deadline.left(0.5)))) throw inProgress(1);
    try {
      return await call();
    } finally {
      this.leave(userId);
    }
  }

  private leave(userId: string): void {
    const line = this.lines.get(userId);
    if (!line || (line.inFlight -= 1) > 0) return;
    const [next] = line.waiting;
    if (!next) {
      this.lines.delete(userId);
      return;
    }
    line.kind = next.kind;
    for (const turn of line.waiting) {
      if (turn.kind !== line.kind) continue;
      line.waiting.delete(turn);
      line.inFlight += 1;
      turn.start();
    }
  }
}

/** @returns false when the time is up */
function wait(line: Line, kind: Kind, waitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const turn = {
      kind,
      start: () => {
        clearTimeout(timer);
        resolve(true);
      },
    };
    const timer = setTimeout(
      () => {
        line.waiting.delete(turn);
        resolve(false);
      },
      Math.max(1, waitMs),
    );
    line.waiting.add(turn);
  });
}

/** Sequences are uint64: too long for a number. */
function isAfter(one: string, other: string | undefined): boolean {
  return other !== undefined && BigInt(one) > BigInt(other);
}

function inProgress(retryAfter: number): Failure {
  return new Failure({ code: 'RATE_LIMITED', reason: 'IN_PROGRESS' }, { retryAfter });
}
