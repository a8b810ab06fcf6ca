import { expect } from 'vitest';
import type { EmbeddedZitadel } from '../../src/embedded-zitadel/embedded-zitadel.js';
import { startChild } from './child.js';
import { listening, main } from './production.js';
import { leaveForLogTest } from './stage.js';

const redisIsUp = /"Redis is up/;
const redisIsDown = /"Redis is down/;

/** Makes timers ten times as long. When this many processes share a busy machine, Redis may take longer than they would wait. */
export const patiently =
  'data:text/javascript,const set = setTimeout; globalThis.setTimeout = (run, ms, ...args) => set(run, 10 * ms, ...args)';

/**
 * Production servers in processes of their own, one for each environment, in front of one ZITADEL, which they call over REST and over Connect
 * in turn. They are connected to Redis.
 */
export async function startProcesses(zitadel: EmbeddedZitadel, environments: Record<string, string>[]) {
  const start = async (env: Record<string, string>, index: number) => {
    const ZITADEL_API = index % 2 === 0 ? 'rest' : 'connect';
    const own = { ZITADEL_URL: zitadel.url, ZITADEL_API, PORT: '0', HOST: '127.0.0.1' };
    const server = startChild(['--import', patiently, main], { ...own, ...env });
    const [, url = ''] = await server.printed(listening);
    await server.printed(redisIsUp);
    return { server, url, startedWith: server.output.stdout.length };
  };
  const processes = await Promise.all(environments.map(start));
  return {
    /** Spreads calls over the processes. */
    urlOf: (index: number) => processes[index % processes.length]?.url ?? '',
    kill: async (index: number) => {
      processes[index]?.server.kill('SIGKILL');
      await processes[index]?.server.exited;
    },
    /** How often each of them has logged this. */
    logged: (text: string) => processes.map(({ server }) => server.output.stdout.split(text).length - 1),
    /** Ends them. Fails if Redis was down meanwhile: the limits would have held per process only. */
    async end() {
      for (const { server, startedWith } of processes) {
        server.kill('SIGTERM');
        expect(await server.exited).toBe(0);
        expect(server.output.stdout.slice(startedWith)).not.toMatch(redisIsDown);
        leaveForLogTest([server.output.stdout, server.output.stderr], zitadel);
      }
    },
  };
}
