import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { startChild } from './support/child.js';
import { hasRedis } from './support/has-redis.js';
import { startRedis } from './support/redis.js';

/** Starts a server that fails to start, without exiting: the process ends only once no handle is open. */
const start = (options: string) => [
  '--input-type=module',
  '--eval',
  `
  import { readConfig } from './dist/config/config.js';
  import { startServer } from './dist/server.js';
  const logTo = { write: (line) => process.stdout.write(line) };
  await startServer(readConfig(process.env), { logTo, ...${options} }).catch((error) => console.log('not started:', error.message));`,
];

test.for([
  ['its port is in use', 'PORT', '{}', 'EADDRINUSE'],
  ['the port of its metrics is in use', 'METRICS_PORT', '{}', 'EADDRINUSE'],
  ['its playground fails', 'OTHER', '{ examples: { variables: { "contact-phone": { number: 1n } } } }', 'BigInt'],
] as const)('leaves nothing open when %s', async ([, variable, options, message]) => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  // An open connection to Redis would keep the process alive.
  await using redis = hasRedis ? await startRedis() : undefined;
  await using child = startChild(start(options), {
    ZITADEL_URL: 'http://127.0.0.1:1',
    HOST: '127.0.0.1',
    PORT: '0',
    METRICS_PORT: '0',
    PLAYGROUND: 'true',
    REDIS_URL: redis?.url,
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    [variable]: String(port),
  });

  expect(await child.exited).toBe(0);

  expect(child.output.stdout).toMatch(new RegExp(`not started: .*${message}`));
  expect(child.output.stderr).toBe('');
  if (redis) expect(child.output.stdout).toContain('Redis');
  taken.close();
});

test.runIf(hasRedis)('leaves nothing open when it does not support its Redis', async () => {
  const nodes = join(tmpdir(), randomUUID());
  onTestFinished(() => rmSync(nodes, { force: true }));
  await using redis = await startRedis('--cluster-enabled', 'yes', '--cluster-config-file', nodes);
  await using child = startChild(start('{}'), {
    ZITADEL_URL: 'http://127.0.0.1:1',
    HOST: '127.0.0.1',
    PORT: '0',
    REDIS_URL: `${redis.url}/1`,
  });

  expect(await child.exited).toBe(0);

  expect(child.output.stdout).toBe('not started: REDIS_URL must select database 0: a Redis Cluster has no other.\n');
  expect(child.output.stderr).toBe('');
});
