import type { Logger } from 'pino';
import type { Failure } from '../failure.js';
import { failureOf } from '../failures.js';

/** `misconfigured`: something answers at ZITADEL's URL, but not ZITADEL's user service for this host. */
type State = 'up' | 'down' | 'misconfigured' | 'unknown';

const probeEveryMs = 30_000;

const messages: Record<Exclude<State, 'unknown'>, string> = {
  up: 'ZITADEL is up',
  down: 'ZITADEL is down',
  misconfigured: 'ZITADEL_URL or ZITADEL_INSTANCE_HOST is wrong: something other than the user service answers',
};

/**
 * Whether ZITADEL is up, without waiting for it: based on a probe at startup and then at most every 30 s, and on failed connections.
 * Rejected calls do not count: one odd request must not make ZITADEL look down.
 */
export class ZitadelHealth {
  private last: State = 'unknown';
  private probedAt = -Infinity;
  private isClosed = false;

  /** @param probe asks for a user without a token. Only ZITADEL rejects that with 401 and code 16. */
  constructor(
    private readonly probe: () => Promise<unknown>,
    private readonly logger: Logger,
  ) {}

  /** The last known state. If a probe is due, starts one in the background; the next access returns its result. */
  get state(): State {
    this.probeIfDue();
    return this.last;
  }

  probeIfDue(): void {
    const now = performance.now();
    if (now - this.probedAt < probeEveryMs) return;
    this.probedAt = now;
    this.probe().then(
      () => this.update('misconfigured'),
      (error: unknown) => {
        const failure = failureOf(error);
        const { verdict, facts } = failure;
        const line = { rpc: 'Probe', httpStatus: facts.call?.httpStatus, ...verdict, ms: performance.now() - now };
        this.logger.debug(line, 'Call to ZITADEL');
        this.update(stateOf(failure), failure);
      },
    );
  }

  /** Records a failed call. */
  note(failure: Failure): void {
    if (failure.verdict.reason === 'NO_CONNECTION') this.update('down', failure);
  }

  /** From now on failures are due to the shutdown of this server, not to ZITADEL. */
  close(): void {
    this.isClosed = true;
  }

  private update(state: Exclude<State, 'unknown'>, failure?: Failure): void {
    if (state === this.last || this.isClosed) return;
    this.last = state;
    if (state === 'up') this.logger.info(messages.up);
    else this.logger.warn({ err: failure?.cause }, messages[state]);
  }
}

/** Statuses of a blocked instance, or of a proxy or a ZITADEL that is failing or overloaded at the moment. */
const isTemporary = (httpStatus: number) => httpStatus >= 500 || httpStatus === 408 || httpStatus === 429;

function stateOf({ verdict, facts: { call } }: Failure): Exclude<State, 'unknown'> {
  if (!call) return 'down';
  const { kind, httpStatus = 500, connectionBroke = false } = call;
  if (verdict.code === 'UNAUTHENTICATED' && httpStatus === 401) return 'up';
  return isTemporary(httpStatus) || (kind === 'malformed' && connectionBroke) ? 'down' : 'misconfigured';
}
