import type { EmbeddedZitadel } from '../../src/embedded-zitadel/embedded-zitadel.js';
import { gate } from './gate.js';

/** Makes 50 calls at once. ZITADEL answers the first `reaching` writes only when all other calls have been answered. */
export function fiftyAtOnce<Answer>(
  zitadel: EmbeddedZitadel,
  reaching: number,
  call: (index: number) => Promise<Answer>,
): Promise<Answer[]> {
  const others = gate();
  zitadel.misbehaveWhenWriting(...Array.from({ length: reaching }, () => ({ hold: others.opened })));
  let answered = 0;
  return Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const answer = await call(index);
      if ((answered += 1) === 50 - reaching) others.open();
      return answer;
    }),
  );
}
