import { until } from './until.js';

/**
 * Callers that send one request after the other until they are stopped.
 *
 * @param request sends one; resolves with what was wrong with its answer, if anything
 */
export function startSteadyLoad(callers: number, request: (caller: number) => Promise<string | undefined>) {
  const answered = Array.from({ length: callers }, () => 0);
  const faults: string[] = [];
  let isStopping = false;
  const running = answered.map(async (_, caller) => {
    while (!isStopping) {
      const fault = await request(caller).catch(String);
      if (fault !== undefined) faults.push(fault);
      answered[caller] = (answered[caller] ?? 0) + 1;
    }
  });
  return {
    /** Resolves when each caller has sent a request since, and got its answer. */
    async round() {
      // The first answer may be to a request from before.
      const enough = answered.map((count) => count + 2);
      await until(() => Promise.resolve(answered.every((count, caller) => count >= (enough[caller] ?? 0))));
    },
    /** Resolves with all faults when every caller has its last answer. */
    async stop() {
      isStopping = true;
      await Promise.all(running);
      return faults;
    },
  };
}
