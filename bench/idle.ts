import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { startClosingUpstream, type ClosingUpstream } from './closing-upstream.js';
import { headers } from './load.js';
import { startLink } from './link.js';
import { isListening } from './listening.js';
import { startProduct } from './peers.js';
import { bodyOfResend, type Mode } from './questions.js';
import { table } from './report.js';

// Whether resends are lost when ZITADEL closes idle connections: many are sent at exactly that moment.

const modes: readonly Mode[] = ['RETURN_CODE', 'SEND_CODE'];
const idleTimesInSeconds = [1, 2, 4, 5];
const delaysMs = [10, 50];
/** The number of simultaneous resends: more than the product has connections, so that it uses all of them, and all are idle afterwards. */
const burst = 100;
/** How long a request takes from here through the product. */
const earlyMs = 10;

interface Combination {
  idleSeconds: number;
  delayMs: number;
  isAnnounced: boolean;
}

interface Tally extends Combination {
  asked: number;
  /** By mode: the outcome is reported as unknown although ZITADEL never received the request. */
  falselyUnknown: Record<Mode, number>;
  /** The answer was lost. */
  trulyUnknown: number;
  /** Failed, and reported as not carried out. */
  failed: number;
  /** The product and ZITADEL disagree. */
  wrong: number;
  repeated: number;
  connections: number;
}

/** @param count resends per mode and combination */
export async function measureIdle(count: number, scratch: string): Promise<Tally[]> {
  const tallies: Tally[] = [];
  for (const isAnnounced of [false, true]) {
    const combinations = idleTimesInSeconds.flatMap((idleSeconds) =>
      delaysMs.map((delayMs) => ({ idleSeconds, delayMs, isAnnounced })),
    );
    // Each spends most of its time waiting, so all of them run in parallel.
    tallies.push(...(await Promise.all(combinations.map((combination) => measureOne(combination, count, scratch)))));
  }
  return tallies;
}

async function measureOne(combination: Combination, count: number, scratch: string): Promise<Tally> {
  const { idleSeconds, delayMs, isAnnounced } = combination;
  await using upstream = await startClosingUpstream(idleSeconds, isAnnounced);
  await using link = await startLink(upstream.port, delayMs);
  const log = join(scratch, `idle-${idleSeconds}-${delayMs}-${isAnnounced}.log`);
  const env = { ZITADEL_URL: `http://127.0.0.1:${link.port}`, SMS_LIMITS: 'off' };
  await using server = await startProduct(env, log);
  await isListening(server);

  const tally: Tally = {
    ...combination,
    asked: 0,
    falselyUnknown: { RETURN_CODE: 0, SEND_CODE: 0 },
    trulyUnknown: 0,
    failed: 0,
    wrong: 0,
    repeated: 0,
    connections: 0,
  };
  let momentOf: (index: number, mode: Mode) => number = () => 0;
  for (let round = 1; tally.asked < modes.length * count; round += 1) {
    const asking = Array.from({ length: burst }, async (_, index) => {
      tally.asked += 1;
      const userId = `u${tally.asked}`;
      const mode = modes[index % modes.length] ?? 'RETURN_CODE';
      await delay(Math.max(0, momentOf(index, mode) - performance.now()));
      await ask(server.url, mode, userId, upstream, tally);
    });
    await Promise.all(asking);
    momentOf = round % 4 === 0 ? anyMoment(idleSeconds) : momentsOfClosing(upstream, delayMs);
  }
  tally.repeated = [...upstream.handled.values()].filter((times) => times > 1).length;
  tally.connections = upstream.connections;
  return tally;
}

/**
 * When to send so that the resend and the end of its connection cross on the way: each direction takes `delayMs`. Before an SMS, the product
 * reads the user: that read meets the end of its own connection in the same way.
 */
function momentsOfClosing(upstream: ClosingUpstream, delayMs: number) {
  const closings = upstream.closings();
  return (index: number, mode: Mode) => {
    const closesAt = closings[index % closings.length] ?? performance.now();
    const readMs = mode === 'SEND_CODE' ? 2 * delayMs : 0;
    return closesAt - readMs - delayMs - earlyMs + Math.random() * (2 * delayMs + earlyMs);
  };
}

/** For some bursts, connections have been idle for a random shorter time. */
function anyMoment(idleSeconds: number) {
  const moment = performance.now() + Math.random() * idleSeconds * 1000;
  return () => moment;
}

async function ask(url: string, mode: Mode, userId: string, upstream: ClosingUpstream, tally: Tally): Promise<void> {
  const body = bodyOfResend('subgraph', mode, userId);
  const response = await fetch(`${url}/graphql`, { method: 'POST', headers, body });
  const { data, errors } = (await response.json()) as {
    data?: { resendContactPhoneCode: object | null };
    errors?: [{ extensions: { outcome?: string } }];
  };
  const wasHandled = upstream.handled.has(userId);
  if (data?.resendContactPhoneCode) {
    if (!wasHandled) tally.wrong += 1;
  } else if (errors?.[0].extensions.outcome === 'UNKNOWN') {
    if (wasHandled) tally.trulyUnknown += 1;
    else tally.falselyUnknown[mode] += 1;
  } else {
    tally.failed += 1;
    if (wasHandled) tally.wrong += 1;
  }
}

export function reportIdle(tallies: readonly Tally[]): string {
  return table(
    [
      'ZITADEL closes after, link',
      '`Keep-Alive` header',
      'Resends',
      'Falsely UNKNOWN: RETURN_CODE',
      'Falsely UNKNOWN: SEND_CODE',
      'Truly UNKNOWN',
      'Failed, not sent',
      'Handled twice',
      'Contradictions',
      'Connections',
    ],
    tallies.map((tally) => [
      `${tally.idleSeconds} s, ${tally.delayMs} ms`,
      tally.isAnnounced ? 'yes' : 'no',
      ...[
        tally.asked,
        tally.falselyUnknown.RETURN_CODE,
        tally.falselyUnknown.SEND_CODE,
        tally.trulyUnknown,
        tally.failed,
        tally.repeated,
        tally.wrong,
        tally.connections,
      ].map((value) => value.toLocaleString('en')),
    ]),
  );
}
