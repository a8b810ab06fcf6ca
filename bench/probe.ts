import { createServer } from 'node:http';

// Loaded into the product's process before the product, with --expose-gc: tells what it holds when nothing is left to collect.

const server = createServer((_request, response) => {
  // What only the first round lets go of, the second one collects.
  for (let round = 0; round < 2; round += 1) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  response.end(String(heapUsed + external));
});
server.listen(Number(process.env['PROBE_PORT']), '127.0.0.1');
server.unref();
