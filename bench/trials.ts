import { measureHostile, reportHostile } from './hostile.js';
import { measureIdle, reportIdle } from './idle.js';

export interface Trial {
  title: string;
  /** @returns the result in Markdown */
  run(isQuick: boolean, only: string, scratch: string): Promise<string>;
}

/** What can go wrong rather than how fast it goes: of the product alone, and only when asked for by name. */
export const trials: Record<string, Trial> = {
  idle: {
    title: 'Resends at the moment at which ZITADEL closes idle connections',
    run: async (isQuick, _only, scratch) => reportIdle(await measureIdle(isQuick ? 100 : 2_000, scratch)),
  },
  hostile: {
    title: 'The most that one request costs',
    run: async (isQuick, only, scratch) => reportHostile(await measureHostile(isQuick ? 1 : 3, only, scratch)),
  },
};
