import type { Logger } from 'pino';
import { ZitadelError } from './zitadel-error.js';

/** `misconfigured`: something answers at ZITADEL's URL, but not ZITADEL's user service for this host. */
type State = 'up' | 'down' | 'misconfigured' | 'unknown';

const probeEveryMs = 30_000;

const messages: Record<Exclude<State, 'unknown'>, string> = {
  up: 'ZITADEL is up',
  down: 'ZITADEL is down',
  misconfigured: 'ZITADEL_URL or ZITADEL_INSTANCE_HOST is wrong: something other than the user service answers',
};

/**
 * Whether ZITADEL is up, as far as that is known without waiting for it: from a probe, at the start and then every 30 s at most, and from
 * connections that failed. Refused calls say nothing: one odd request must not make it look down.
 */
export class ZitadelHealth {
  private last: State = 'unknown';
  private probedAt = -Infinity;
  private isClosed = false;

  /** @param probe asks for a user without a token. ZITADEL refuses that with 401 and code 16, and nothing else does. */
  constructor(
    private readonly probe: () => Promise<unknown>,
    private readonly logger: Logger,
  ) {}

  /** What is known now. A probe that is due begins, for the next one to see. */
  get state(): State {
    this.probeIfDue();
    return this.last;
  }

  probeIfDue(): void {
    const now = performance.now();
    if (now - this.probedAt < probeEveryMs) return;
    this.probedAt = now;
    this.probe().then(
      () => this.know('misconfigured'),
      (error: unknown) => this.know(stateOf(error), error),
    );
  }

  /** A call has failed. */
  note(error: ZitadelError): void {
    if (error.kind === 'unreachable' && !error.facts.sent) this.know('down', error);
  }

  /** What happens from now on is the end of this server, not of ZITADEL. */
  close(): void {
    this.isClosed = true;
  }

  private know(state: Exclude<State, 'unknown'>, cause?: unknown): void {
    if (state === this.last || this.isClosed) return;
    this.last = state;
    if (state === 'up') this.logger.info(messages.up);
    else this.logger.warn({ err: cause }, messages[state]);
  }
}

function stateOf(error: unknown): Exclude<State, 'unknown'> {
  if (!(error instanceof ZitadelError)) return 'down';
  const { kind, status, effectiveStatus, facts } = error;
  if (status === 'UNAUTHENTICATED' && facts.httpStatus === 401) return 'up';
  // A blocked instance, and a proxy or a ZITADEL that fails for now.
  if (effectiveStatus === 'RESOURCE_EXHAUSTED' || (facts.httpStatus ?? 500) >= 500) return 'down';
  return kind === 'malformed' && facts.connectionBroke ? 'down' : 'misconfigured';
}
