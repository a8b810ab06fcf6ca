import { readConfig } from './config/config.js';
import { run } from './process.js';
import { startServer } from './server.js';

await run(
  async (output) => startServer(readConfig(process.env), { logTo: output }),
  (server) => server.rotate(readConfig(process.env)),
);
