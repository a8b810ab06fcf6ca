import type { Limit } from '../config/config.js';
import type { ErrorCode, Outcome } from '../errors.js';
import type { Failure } from '../failure.js';
import { failureOf } from '../failures.js';
import type { Caller, KnownCallers } from './callers.js';
import { refusal, type Reservation, type Reservations, type Refused } from './reservations.js';
import { historyKind, type Settlement, type History, type HistoryKind } from './store.js';

// A guess is a code that a caller tries. Only wrong guesses count for the full duration of a limit.

/** For one user, by all callers together. */
const perUser: Limit = { count: 25, seconds: 60 * 60 };
/** How many of those may come from strangers: callers who may not read the user. ZITADEL lets anyone with a token try codes. */
const byStrangers: Limit = { count: 5, seconds: 60 * 60 };
/** How long a guess with an unknown outcome counts: a ZITADEL outage must not lock out the right code for long. */
const unknownMs = 60_000;

/** Limits how many wrong codes may be tried for one user: by one caller, by strangers, and by all callers together. */
export class GuessLimit {
  private readonly byCaller: HistoryKind | undefined;
  private readonly forUser = historyKind('guesses', [perUser]);
  private readonly fromStrangers = historyKind('guesses-by-strangers', [byStrangers]);

  /** @param limit per caller and user; undefined turns off all limits on guesses */
  constructor(
    private readonly reservations: Reservations,
    private readonly known: KnownCallers,
    limit: Limit | undefined,
  ) {
    this.byCaller = limit && historyKind('guesses-by-caller', [limit]);
  }

  /**
   * Tries a code, if the limits allow it. Reserves before the call, so guesses in flight cannot exceed the limits.
   *
   * @param mayRead whether the caller may read the user; called only if the caller cannot guess as a stranger
   * @param call tries the code
   * @throws {Failure} RATE_LIMITED without making the call, or the call's failure with the remaining attempts
   */
  async run<Answer>(
    userId: string,
    caller: Caller,
    mayRead: () => Promise<boolean>,
    call: () => Promise<Answer>,
  ): Promise<Answer> {
    if (!this.byCaller) return call();
    const { histories, reservation } = await this.reserve(userId, caller, mayRead);
    const settle = async (settlement: Settlement) => {
      // A forged token must not use up limits that others share.
      const shared = this.known.isAuthenticated(caller) ? settlement : 'remove';
      const standings = await reservation.settle(histories.map((_, index) => (index === 0 ? settlement : shared)));
      return standings.map(({ remaining }) => remaining);
    };
    let answer: Answer;
    try {
      answer = await call();
    } catch (error) {
      const failure = failureOf(error);
      if (isAfterAuthentication(failure)) this.known.noteAuthenticated(caller);
      const left = await settle(settlements[failure.facts.guess ?? 'UNKNOWN']);
      throw failure.with({ attemptsLeft: Math.min(...left), attemptsLeftOfReader: Math.min(...left.slice(0, 2)) });
    }
    this.known.noteAuthenticated(caller);
    await settle('remove');
    return answer;
  }

  /** Clears the caller's own guesses for the user: they were for an earlier code. */
  clear(userId: string, caller: Caller): Promise<unknown> {
    return this.reservations.clear(this.historiesOf(userId, caller));
  }

  /** The history of the caller's own guesses for the user, if guesses are limited. */
  historiesOf(userId: string, { tokenKey }: Caller): History[] {
    return this.byCaller ? [{ kind: this.byCaller, id: `${tokenKey}:${userId}` }] : [];
  }

  /** @throws {Failure} RATE_LIMITED, or the failure of `mayRead` */
  private async reserve(userId: string, caller: Caller, mayRead: () => Promise<boolean>): Promise<GuessReservation> {
    const [own] = this.historiesOf(userId, caller);
    const isOwn = (refused: Refused) => refused.is === 'full' && refused.index === 0;
    // Meanwhile, another process may have cleared the caller's guesses.
    let reserved = await this.tryToReserve(userId, caller, mayRead);
    if ('is' in reserved && own && isOwn(reserved) && (await this.reservations.wasCleared(own)))
      reserved = await this.tryToReserve(userId, caller, mayRead);
    if ('is' in reserved) throw refusal('WRONG_CODES', reserved);
    return reserved;
  }

  private async tryToReserve(
    userId: string,
    caller: Caller,
    mayRead: () => Promise<boolean>,
  ): Promise<GuessReservation | Refused> {
    const callerHistories = this.historiesOf(userId, caller);
    const readerHistories = [...callerHistories, { kind: this.forUser, id: userId }];
    const strangerHistories = [...readerHistories, { kind: this.fromStrangers, id: userId }];
    const asStranger = await this.reservations.reserve({ histories: strangerHistories, budgets: [] });
    if (asStranger.is === 'reserved') return { histories: strangerHistories, reservation: asStranger };
    // The limit that opens last also binds callers who may read the user, so there is no need to find out.
    if (asStranger.is === 'full' && asStranger.index < readerHistories.length) return asStranger;
    // During the read, reserve only in the caller's own history: forged tokens must not block others.
    const own = await this.reservations.reserve({ histories: callerHistories, budgets: [] });
    if (own.is !== 'reserved') return own;
    const isReader = await mayRead().finally(() => own.settle(['remove']));
    if (!isReader) return asStranger;
    this.known.noteAuthenticated(caller);
    const asReader = await this.reservations.reserve({ histories: readerHistories, budgets: [] });
    return asReader.is === 'reserved' ? { histories: readerHistories, reservation: asReader } : asReader;
  }
}

interface GuessReservation {
  histories: readonly History[];
  reservation: Reservation;
}

/** Keyed by whether a wrong code was tried. */
const settlements: Record<Outcome, Settlement> = { DONE: 'keep', UNKNOWN: unknownMs, NOT_DONE: 'remove' };

/** ZITADEL answers with these only after it has accepted the caller's token. */
const afterAuthentication: readonly ErrorCode[] = [
  'FORBIDDEN',
  'NOT_FOUND',
  'BAD_USER_INPUT',
  'INVALID_VERIFICATION_CODE',
  'FAILED_PRECONDITION',
];

function isAfterAuthentication({ verdict, facts }: Failure): boolean {
  return facts.call?.kind === 'rejected' && afterAuthentication.includes(verdict.code);
}
