import type { UpstreamAnswer } from './exchange.js';
import type { ZitadelError } from './zitadel-error.js';

type State = 'up' | 'down' | 'unknown';

const freshMs = 5_000;

/** Whether ZITADEL does its part, as far as that is known without waiting for it. */
export class ZitadelHealth {
  private last: State = 'unknown';
  private knownAt = -Infinity;
  private lookedAt = -Infinity;

  /** @param look asks ZITADEL whether it is ready, `GET /debug/ready` */
  constructor(private readonly look: () => Promise<UpstreamAnswer>) {}

  /** By the last call. When that is more than five seconds ago, asks, at most once in so long a time, for whoever wants to know next. */
  get state(): State {
    const now = performance.now();
    if (now - this.knownAt >= freshMs && now - this.lookedAt >= freshMs) {
      this.lookedAt = now;
      void this.look().then(
        ({ httpStatus }) => this.know(stateOfLook(httpStatus)),
        () => this.know('down'),
      );
    }
    return this.last;
  }

  /** A call has ended. */
  note(error?: ZitadelError): void {
    const { httpStatus = 0 } = error?.facts ?? {};
    // What stands in front of ZITADEL has taken offence at the request.
    if (error?.kind === 'foreign' && httpStatus >= 400 && httpStatus < 500) return;
    const isRefusal = error?.kind === 'rejected' && httpStatus < 500;
    this.know(error === undefined || isRefusal ? 'up' : 'down');
  }

  private know(state: State): void {
    this.last = state;
    this.knownAt = performance.now();
  }
}

/** ZITADEL says 412 when it is not ready. What stands in front of it may not let the question through. */
function stateOfLook(httpStatus: number): State {
  if (httpStatus === 200) return 'up';
  return httpStatus === 412 || httpStatus >= 500 ? 'down' : 'unknown';
}
