import { openProduction } from './production.js';

/** The production server. It reports its holdings on SIGUSR2, and ends only when no handle is open. */
const measured = `
  import { readConfig } from './dist/config/config.js';
  import { startServer } from './dist/server.js';
  process.on('SIGUSR2', () => {
    gc();
    console.log('holds', JSON.stringify({ bytes: process.memoryUsage().heapUsed, handles: process.getActiveResourcesInfo() }));
  });
  const logTo = { write: (line) => process.stdout.write(line) };
  const server = await startServer(readConfig(process.env), { logTo });
  process.on('SIGTERM', () => server[Symbol.asyncDispose]());
  console.log('listening at', server.url);`;

/** The production server in a child process, and its holdings after a garbage collection. */
export async function openMeasured(env: Record<string, string> = {}, options?: Parameters<typeof openProduction>[2]) {
  const args = ['--expose-gc', '--input-type=module', '--eval', measured];
  const production = await openProduction({ LOG_LEVEL: 'fatal', ...env }, args, options);
  const { server } = production;
  let asked = 0;
  return {
    ...production,
    graphql: `${production.url}/graphql`,
    holdings: async () => {
      server.kill('SIGUSR2');
      asked += 1;
      const [text] = await server.printed(new RegExp(`(?:holds .*\\n[^]*?){${asked}}`));
      return JSON.parse(text.trimEnd().split('holds ').at(-1) ?? '') as { bytes: number; handles: string[] };
    },
  };
}
