import { readConfig } from './config.js';
import { run } from './run.js';
import { startServer } from './server.js';

await run(async () => startServer(readConfig(process.env)));
