import { startEmbeddedZitadel } from '../../src/embedded-zitadel/embedded-zitadel.js';
import { startChild } from './child.js';
import { leaveForLogTest, zitadelApi } from './stage.js';

/** What operators run: a bundle. */
export const main = 'dist/bundle/main.js';
/** The same in separate files, named as in `src/`. */
export const unbundledMain = 'dist/main.js';
export const listening = /listening at (http:\/\/[\d.]+:\d+)\D/;

/** The log lines of a server so far. */
export const linesOf = ({ output }: { output: { stdout: string } }) =>
  output.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as Record<string, unknown> & { level: string; msg: string });

/** The production server in a child process, in front of an embedded ZITADEL. */
export async function openProduction(
  env: Record<string, string> = {},
  args = [main],
  options?: Parameters<typeof startEmbeddedZitadel>[0],
) {
  const zitadel = await startEmbeddedZitadel(options);
  const own = { ZITADEL_URL: zitadel.url, ZITADEL_API: zitadelApi, PORT: '0', HOST: '127.0.0.1' };
  const server = startChild(args, { ...own, ...env });
  const [, url = ''] = await server.printed(listening);
  return {
    zitadel,
    server,
    url,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await zitadel[Symbol.asyncDispose]();
      leaveForLogTest([server.output.stdout, server.output.stderr], zitadel);
    },
  };
}
