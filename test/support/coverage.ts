import { once } from 'node:events';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { WebSocket } from 'undici';

interface Coverage {
  result: { url: string; functions: { ranges: { count: number }[] }[] }[];
}

/**
 * Counts which files of `folder` run in another process.
 *
 * @param url of its inspector, as `node --inspect` prints it
 */
export async function openCoverage(url: string, folder: string) {
  const socket = new WebSocket(url);
  await once(socket, 'open');
  /** One at a time. */
  const call = async (method: string, params = {}): Promise<unknown> => {
    socket.send(JSON.stringify({ id: 0, method, params }));
    const [{ data }] = (await once(socket, 'message')) as [{ data: string }];
    return (JSON.parse(data) as { result: unknown }).result;
  };
  await call('Profiler.enable');
  await call('Profiler.startPreciseCoverage', { callCount: true });

  return {
    /** The files of which any function was called since the last time, or since this began. */
    async visited(): Promise<string[]> {
      const { result } = (await call('Profiler.takePreciseCoverage')) as Coverage;
      return result
        .filter(({ url, functions }) => url.startsWith('file:') && functions.some(({ ranges }) => wasCalled(ranges)))
        .map(({ url }) => relative(folder, fileURLToPath(url)))
        .filter((path) => !path.startsWith('..'))
        .sort();
    },
    [Symbol.dispose]: () => socket.close(),
  };
}

const wasCalled = ([whole]: { count: number }[]) => whole !== undefined && whole.count > 0;
