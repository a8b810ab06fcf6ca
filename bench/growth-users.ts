import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, startServer } from './child.js';
import { load, questionOf, requestsOf, type Load, type Seconds } from './growth-load.js';
import { firstAnswer } from './measure.js';
import { product, startUpstream } from './peers.js';

// How cost grows with the users that the limits remember.

export interface Remembered {
  users: number;
  /** What the process holds after collecting garbage, in megabytes. */
  held: number;
  /** How much of that is for each user, in bytes. */
  perUser: number;
  /** The longest that the process stood still while they were added, in milliseconds. */
  pause: number;
  /** SEND_CODE, each time for another user. */
  load: Load;
}

/** At a million, the process forgets the older half: this stays just below. */
const most = 1_000_000;
const spare = 1_000;
/** More users than a load adds. */
const room = 50_000;
const connections = 32;
/** Not bundled, so its modules can be reached. */
const main = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
const preloaded = ['probe.js', 'growth-fill.js'].map((file) => fileURLToPath(new URL(file, import.meta.url)));

export async function measureRemembered(users: number, seconds: Seconds, scratch: string): Promise<Remembered> {
  await using upstream = await startUpstream(scratch);
  const [probePort, fillPort] = [await freePort(), await freePort()];
  await using server = await startServer(
    ['--expose-gc', ...preloaded.flatMap((file) => ['--import', file]), main],
    { ZITADEL_URL: upstream.url, PROBE_PORT: String(probePort), FILL_PORT: String(fillPort) },
    join(scratch, 'product.log'),
  );
  const ask = async (port: number, path = '') => {
    const text = await (await fetch(`http://127.0.0.1:${port}/${path}`)).text();
    if (Number.isNaN(Number(text))) throw new Error(text);
    return Number(text);
  };

  await firstAnswer(server, product, questionOf('send'));
  // Compiled code is no memory of users, and this adds none.
  await load(server, connections, requestsOf('return'), { warmUp: 0, measured: seconds.warmUp });
  const before = await ask(probePort);
  const first = users < most ? users : users - room;
  let pause = await ask(fillPort, `0-${first}`);
  let after = await ask(probePort);
  const measured = await load(server, connections, requestsOf('send'), seconds);
  if (first < users) {
    pause = Math.max(pause, await ask(fillPort, `${first}-${users - measured.answers - spare}`));
    after = await ask(probePort);
  }
  return { users, held: after / 1e6, perUser: (after - before) / users, pause, load: measured };
}
