import { createServer } from 'node:http';

// Preloaded into the product's process with --expose-gc: reports what it holds when nothing is left to collect.

const server = createServer((_request, response) => {
  // The second round collects what only the first one has released.
  for (let round = 0; round < 2; round += 1) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  response.end(String(heapUsed + external));
});
server.listen(Number(process.env['PROBE_PORT']), '127.0.0.1');
server.unref();
