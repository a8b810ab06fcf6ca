import type { EmbeddedZitadel } from '../../src/embedded-zitadel/embedded-zitadel.js';
import { gate } from './gate.js';

/**
 * Makes a call for each of these at once. ZITADEL answers the first `reaching` writes only when all other calls have been answered, except
 * those that are `waiting` for them.
 */
export function allAtOnce<One, Answer>(
  zitadel: EmbeddedZitadel,
  all: readonly One[],
  { reaching, waiting = 0 }: { reaching: number; waiting?: number },
  call: (one: One) => Promise<Answer>,
): Promise<Answer[]> {
  const others = gate();
  zitadel.misbehaveWhenWriting(...Array.from({ length: reaching }, () => ({ hold: others.opened })));
  let answered = 0;
  return Promise.all(
    all.map(async (one) => {
      const answer = await call(one);
      if ((answered += 1) === all.length - reaching - waiting) others.open();
      return answer;
    }),
  );
}

/** Makes 50 calls at once. ZITADEL answers the first `reaching` writes only when all other calls have been answered. */
export function fiftyAtOnce<Answer>(
  zitadel: EmbeddedZitadel,
  reaching: number,
  call: (index: number) => Promise<Answer>,
): Promise<Answer[]> {
  return allAtOnce(zitadel, [...Array(50).keys()], { reaching }, call);
}
