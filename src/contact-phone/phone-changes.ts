import { Failure, type Rpc } from '../failure.js';
import { failureOf } from '../failures.js';
import type { Deadline } from '../zitadel/exchange.js';
import type { ChangeResponse, ZitadelUser } from '../zitadel/messages.js';

type ChangeRpc = Extract<Rpc, 'SetPhone' | 'RemovePhone' | 'ResendPhoneCode'>;

/** The calls for one user. */
interface Queue {
  /** The RPC of all calls in flight. */
  rpc: ChangeRpc;
  inFlight: number;
  /** First come, first served, except that all calls of one RPC start together. */
  waiting: Set<{ rpc: ChangeRpc; start: () => void }>;
}

/** Longer than ZITADEL's reads lag, and longer than it takes to carry out a removal that it failed to answer. */
const minForbiddenMs = 60_000;

/** A removal that forbids resends by SMS. */
interface Removal {
  /** On the clock of `performance.now()`. */
  until: number;
  /** Whether the phone is certainly gone. If not, ZITADEL may still carry out the removal. */
  isCertain: boolean;
  /** See `ZitadelUser`. Undefined if unknown. */
  sequence?: string;
}

/**
 * Prevents resends by SMS to a removed phone. If its code is still pending, ZITADEL sends it ten times to an empty number, and every other
 * SMS of the instance has to wait. See docs/zitadel.md.
 *
 * So sets, removals and resends by SMS for one user never overlap in this process. After a removal, resends by SMS are forbidden for a minute
 * or until the next set, because a read may still show the removed phone. Calls of the same RPC do overlap: anyone with a token can make
 * them, and callers that ZITADEL will reject must not delay others by more than a call or two.
 */
export class PhoneChanges {
  private readonly queues = new Map<string, Queue>();
  /** By user. All last the same time, so Map order is expiry order. */
  private readonly removals = new Map<string, Removal>();
  private readonly forbiddenMs: number;

  /** @param longestCallMs the maximum age of a read before an SMS */
  constructor(longestCallMs: number) {
    this.forbiddenMs = Math.max(minForbiddenMs, longestCallMs);
  }

  set<Answer>(userId: string, deadline: Deadline, call: () => Promise<Answer>): Promise<Answer> {
    return this.inTurn(userId, 'SetPhone', deadline, async () => {
      const answer = await call();
      // If ZITADEL did not answer a removal, it may still carry it out after this.
      if (this.removals.get(userId)?.isCertain) this.removals.delete(userId);
      return answer;
    });
  }

  remove(userId: string, deadline: Deadline, call: () => Promise<ChangeResponse>): Promise<ChangeResponse> {
    return this.inTurn(userId, 'RemovePhone', deadline, async () => {
      try {
        const answer = await call();
        this.forbidResends(userId, { isCertain: true, sequence: answer.details.sequence });
        return answer;
      } catch (error) {
        const { verdict, facts } = failureOf(error);
        const isDone = verdict.reason === 'NO_PHONE';
        // Any caller may be able to provoke a firewall's 403. That must not forbid SMS to another user.
        const isFirewall = facts.call?.kind === 'foreign' && (facts.call.httpStatus ?? 0) < 500;
        if (isDone) this.forbidResends(userId, { ...this.removals.get(userId), isCertain: true });
        else if (facts.outcome !== 'NOT_DONE' && !isFirewall) this.forbidResends(userId, { isCertain: false });
        throw error;
      }
    });
  }

  /**
   * @param user as read before the call, with a phone
   * @throws {Failure} NO_PHONE after a removal, or IN_PROGRESS if it is unknown whether ZITADEL carried it out
   */
  resendBySms<Answer>(
    { userId, sequence = '0' }: ZitadelUser,
    deadline: Deadline,
    call: () => Promise<Answer>,
  ): Promise<Answer> {
    return this.inTurn(userId, 'ResendPhoneCode', deadline, () => {
      const removal = this.removals.get(userId);
      const leftMs = removal ? removal.until - performance.now() : 0;
      // If the read shows a later change, its phone was set after the removal, perhaps by another process.
      if (!removal || leftMs <= 0 || isAfter(sequence, removal.sequence)) return call();
      if (removal.isCertain) throw new Failure({ code: 'FAILED_PRECONDITION', reason: 'NO_PHONE' });
      throw inProgress(Math.ceil(leftMs / 1000));
    });
  }

  private forbidResends(userId: string, removal: Omit<Removal, 'until'>): void {
    const now = performance.now();
    for (const [id, { until }] of this.removals) {
      if (until > now) break;
      this.removals.delete(id);
    }
    // If an earlier removal was not answered, ZITADEL may still carry it out after this one.
    const isUnknown = this.removals.get(userId)?.isCertain === false;
    // Moves the user to the end.
    this.removals.delete(userId);
    this.removals.set(userId, { ...(isUnknown ? { isCertain: false } : removal), until: now + this.forbiddenMs });
  }

  /** @throws {Failure} IN_PROGRESS if its turn would come too late to start a write */
  private async inTurn<Answer>(
    userId: string,
    rpc: ChangeRpc,
    deadline: Deadline,
    call: () => Promise<Answer>,
  ): Promise<Answer> {
    const queue = this.queues.get(userId);
    if (!queue) this.queues.set(userId, { rpc, inFlight: 1, waiting: new Set() });
    else if (queue.rpc === rpc && queue.waiting.size === 0) queue.inFlight += 1;
    else if (!(await wait(queue, rpc, deadline.left(0.5)))) throw inProgress(1);
    try {
      return await call();
    } finally {
      this.leave(userId);
    }
  }

  private leave(userId: string): void {
    const queue = this.queues.get(userId);
    if (!queue || (queue.inFlight -= 1) > 0) return;
    const [next] = queue.waiting;
    if (!next) {
      this.queues.delete(userId);
      return;
    }
    queue.rpc = next.rpc;
    for (const turn of queue.waiting) {
      if (turn.rpc !== queue.rpc) continue;
      queue.waiting.delete(turn);
      queue.inFlight += 1;
      turn.start();
    }
  }
}

/** @returns false when the time is up */
function wait(queue: Queue, rpc: ChangeRpc, waitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const turn = {
      rpc,
      start: () => {
        clearTimeout(timer);
        resolve(true);
      },
    };
    const timer = setTimeout(
      () => {
        queue.waiting.delete(turn);
        resolve(false);
      },
      Math.max(1, waitMs),
    );
    queue.waiting.add(turn);
  });
}

/** Sequences are uint64: a JavaScript number would round them. Without a sequence, the order is unknown. */
function isAfter(one: string, other = '0'): boolean {
  return other !== '0' && BigInt(one) > BigInt(other);
}

function inProgress(retryAfter: number): Failure {
  return new Failure({ code: 'RATE_LIMITED', reason: 'IN_PROGRESS' }, { retryAfter });
}
