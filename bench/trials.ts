import { runGrowth } from './growth.js';
import { measureHanging, reportHanging } from './hanging.js';
import { measureHeldMemory, reportHeldMemory } from './held-memory.js';
import { measureHostile, reportHostile } from './hostile.js';
import { measureIdle, reportIdle } from './idle.js';
import { measureLimits, reportLimits } from './limits.js';
import { measureStalled, reportStalled } from './stalled.js';

export interface Trial {
  title: string;
  /** @returns the result in Markdown */
  run(isQuick: boolean, only: string, scratch: string): Promise<string>;
}

/** Trials test what can go wrong rather than speed. They run only if named, and only on the product. */
export const trials: Record<string, Trial> = {
  idle: {
    title: 'Resends at the moment when ZITADEL closes idle connections',
    run: async (isQuick, _only, scratch) => reportIdle(await measureIdle(isQuick ? 100 : 2_000, scratch)),
  },
  hostile: {
    title: 'The maximum cost of one request',
    run: async (isQuick, only, scratch) => reportHostile(await measureHostile(isQuick ? 1 : 3, only, scratch)),
  },
  held: {
    title: 'Memory that many requests leave behind',
    run: async (_isQuick, only, scratch) => reportHeldMemory(await measureHeldMemory(only, scratch)),
  },
  stalled: {
    title: 'Callers that stall',
    run: async (_isQuick, only, scratch) => reportStalled(await measureStalled(only, scratch)),
  },
  hanging: {
    title: 'ZITADEL hangs on resends, but answers reads',
    run: async (isQuick, _only, scratch) =>
      reportHanging(await measureHanging(isQuick ? [140] : [140, 10_000], scratch)),
  },
  limits: {
    title: 'What the limits cost',
    run: async (isQuick, _only, scratch) => reportLimits(await measureLimits(isQuick ? 300 : 3_000, scratch)),
  },
  growth: {
    title: 'How cost grows',
    run: (isQuick, _only, scratch) => runGrowth(isQuick, scratch),
  },
};
