import { expect } from 'vitest';
import type { EmbeddedZitadel } from '../../src/embedded-zitadel/embedded-zitadel.js';
import { startChild } from './child.js';
import { linesOf, listening, main } from './production.js';
import { leaveForLogTest } from './stage.js';

const redisIsUp = 'Redis is up';
const redisIsDown = 'Redis is down or slow';

/** No delay of the server's own is as long. */
const delayMs = 299_999;
/**
 * The shutdown delay ends at a signal, so that the test need not guess how long a busy machine takes to notice the shutdown. And the steps in
 * which the server counts how long Redis takes are ten times as long: on such a machine, it takes longer.
 */
const byEvents = `data:text/javascript,${encodeURIComponent(`
  const set = setTimeout;
  const delayEnds = new Promise((resolve) => process.on('SIGUSR2', resolve));
  globalThis.setTimeout = (run, ms, ...args) =>
    ms === ${delayMs} ? void delayEnds.then(run) : set(run, ms === 10 ? 100 : ms, ...args);`)}`;

const momentOf = (time: unknown) => new Date(time as string | number).getTime();

type Member = Awaited<ReturnType<typeof startMember>>;

/** One built server in a process of its own. */
async function startMember(env: Record<string, string>, index: number) {
  const ZITADEL_API = index % 2 === 0 ? 'rest' : 'connect';
  const own = { ZITADEL_API, PORT: '0', HOST: '127.0.0.1', SHUTDOWN_DELAY_MS: String(delayMs) };
  const server = startChild(['--import', byEvents, main], { ...own, ...env });
  const [, url = ''] = await server.printed(listening);
  await server.printed(new RegExp(redisIsUp));
  const startedWith = linesOf(server).length;
  const lines = () => linesOf(server);
  /** How long Redis was down each time, according to the log: until it was up again, or until the process ended. */
  const downMs = () => {
    const changes = lines()
      .slice(startedWith)
      .filter(({ msg }) => msg.includes(redisIsDown) || msg.includes(redisIsUp));
    return changes.flatMap(({ msg, time }, index) => {
      if (!msg.includes(redisIsDown)) return [];
      const up = changes[index + 1] ?? lines().at(-1);
      return [momentOf(up?.['time']) - momentOf(time)];
    });
  };
  return { server, url, lines, downMs };
}

/**
 * Several built servers in processes of their own, in front of one ZITADEL, which they call over REST and over Connect in turn. Each can be
 * replaced, as a rolling update does.
 */
export async function startFleet(zitadel: EmbeddedZitadel, size: number, env: Record<string, string>) {
  let started = 0;
  const start = () => startMember({ ZITADEL_URL: zitadel.url, ...env }, (started += 1));
  const running = await Promise.all(Array.from({ length: size }, start));
  const all = [...running];
  return {
    /** The servers that are running, oldest first. */
    running: running as readonly Member[],
    /** The same, and those that have been replaced. */
    all: all as readonly Member[],
    async add() {
      const member = await start();
      running.push(member);
      all.push(member);
      return member;
    },
    /** Sends SIGTERM, waits for `noticed`, and then for the end of the process. It must lose nothing. */
    async remove(member: Member, noticed: () => Promise<unknown>) {
      member.server.kill('SIGTERM');
      await member.server.printed(/SIGTERM received/);
      await noticed();
      member.server.kill('SIGUSR2');
      expect(await member.server.exited).toBe(0);
      running.splice(running.indexOf(member), 1);
    },
    /** Resolves once each of these has noticed that Redis is in this state. */
    async notice(state: 'up' | 'down', members: readonly Member[] = running) {
      const pattern = state === 'down' ? new RegExp(redisIsDown) : new RegExp(`${redisIsDown}[^]*${redisIsUp}`);
      await Promise.all(members.map(({ server }) => server.printed(pattern)));
    },
    leaveForLogTest() {
      for (const { server } of all) leaveForLogTest([server.output.stdout, server.output.stderr], zitadel);
    },
  };
}
