import { openProduction } from './production.js';

/** The production server, which says on SIGUSR2 what it holds. It ends only when nothing is open any more. */
const measured = `
  import { readConfig } from './dist/config.js';
  import { startServer } from './dist/server.js';
  process.on('SIGUSR2', () => {
    gc();
    console.log('holds', JSON.stringify({ bytes: process.memoryUsage().heapUsed, handles: process.getActiveResourcesInfo() }));
  });
  const logTo = { write: (line) => process.stdout.write(line) };
  const server = await startServer(readConfig(process.env), { logTo });
  process.on('SIGTERM', () => server[Symbol.asyncDispose]());
  console.log('listening at', server.url);`;

/** The production server in a process of its own, and what it holds after a garbage collection. */
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
