import type { EmbeddedZitadel } from '../../src/embedded-zitadel/embedded-zitadel.js';
import { gate } from './gate.js';

/**
 * Makes a call for each of these at once. ZITADEL answers the first `reaching` writes only when all other calls have been answered, except
 * those that are `waiting` for them.
 *
 * @returns the answers, in order of arrival
 */
export async function allAtOnce<One, Answer>(
  zitadel: EmbeddedZitadel,
  all: readonly One[],
  { reaching, waiting = 0 }: { reaching: number; waiting?: number },
  call: (one: One) => Promise<Answer>,
): Promise<Answer[]> {
  const others = gate();
  zitadel.misbehaveWhenWriting(...Array.from({ length: reaching }, () => ({ hold: others.opened })));
  const answers: Answer[] = [];
  await Promise.all(
    all.map(async (one) => {
      const answer = await call(one);
      if (answers.push(answer) >= all.length - reaching - waiting) others.open();
    }),
  );
  return answers;
}

/** The numbers below this one, to make that many calls. */
export const numbersTo = (count: number) => [...Array(count).keys()];
