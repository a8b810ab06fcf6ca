import type { EmbeddedToken } from '../../src/embedded-zitadel/population.js';
import { holdTimers, stopClock } from './clock.js';
import { gate } from './gate.js';
import { bearer, extensionsOf, openStage, type GraphQLAnswer } from './stage.js';

/** The longest that a caller waits in a line. */
const maxWaitMs = 2_000;

export const limited = (retryAfter: number, reason = 'SMS_TO_USER') => [
  { code: 'RATE_LIMITED', reason, outcome: 'NOT_DONE', retryAfter },
];
/** The refusal if only a call in flight stands in the way. */
export const inProgress = limited(1, 'IN_PROGRESS');

/** How many answers there are of each kind: `sent`, or the reason and the `retryAfter`. */
export function tally(answers: readonly GraphQLAnswer<object>[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const answer of answers) {
    const [refusal] = extensionsOf(answer) ?? [];
    const key = refusal ? `${refusal.reason} ${refusal.retryAfter}` : 'sent';
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

/** A stage with a stopped clock and the default limits on SMS. Callers wait in line until the test says that their time is up. */
export async function openLine(
  env: Record<string, string> = {},
  options: Parameters<typeof openStage>[1] = {},
  waitMs = maxWaitMs,
) {
  const clock = stopClock();
  const stage = await openStage({ SMS_LIMITS: '', ZITADEL_TIMEOUT_MS: '300000', ...env }, options);
  // The timer of its probe could be mistaken for that of a caller.
  await stage.zitadel.probed(1);
  const timers = holdTimers(waitMs);
  return {
    ...stage,
    clock,
    resendAs: ({ token }: EmbeddedToken, variables = {}) => stage.resend(variables, bearer(token)),
    /** Holds back the answers to the next writes. @returns a gate for each */
    holdWrites: (count: number) => {
      const gates = Array.from({ length: count }, gate);
      stage.zitadel.misbehaveWhenWriting(...gates.map(({ opened }) => ({ hold: opened })));
      return gates;
    },
    /** The tokens of the writes so far, in order. */
    writers: () => stage.zitadel.writes.map(({ headers }) => headers.authorization?.replace('Bearer ', '')),
    /** Resolves when this many callers wait. Those who hung up still count. */
    waiting: timers.held,
    /** Ends the time of this many, by default all, who wait: first of those who have waited longest. */
    timeIsUp: timers.fire,
    async [Symbol.asyncDispose]() {
      timers.fire();
      await stage[Symbol.asyncDispose]();
    },
  };
}
