import { measureHanging, reportHanging } from './hanging.js';
import { measureHeldMemory, reportHeldMemory } from './held-memory.js';
import { measureHostile, reportHostile } from './hostile.js';
import { measureIdle, reportIdle } from './idle.js';
import { measureStalled, reportStalled } from './stalled.js';

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
  held: {
    title: 'Memory that many requests leave behind',
    run: async (_isQuick, only, scratch) => reportHeldMemory(await measureHeldMemory(only, scratch)),
  },
  stalled: {
    title: 'Callers that stop in the middle',
    run: async (_isQuick, only, scratch) => reportStalled(await measureStalled(only, scratch)),
  },
  hanging: {
    title: 'ZITADEL hangs on resends, and answers reads',
    run: async (isQuick, _only, scratch) =>
      reportHanging(await measureHanging(isQuick ? [140] : [140, 10_000], scratch)),
  },
};
