import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// Where test servers save their log lines, and embedded ZITADELs their codes. It is in the environment, since this file is
// evaluated again for each project.
if (process.env['TEST_LOG_FOLDER'] === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'contact-phone-logs-'));
  process.env['TEST_LOG_FOLDER'] = folder;
  process.once('exit', () => rmSync(folder, { recursive: true }));
}

/** Stories that call no ZITADEL, call it over both APIs themselves, or take long in a browser, which cannot tell the APIs apart. */
const neutral = [
  ...['body-memory', 'browser/outbox', 'bundle', 'browser/playground', 'callers', 'cli', 'clients/codegen'],
  ...['clients/phone-screen', 'config', 'configuration-docs', 'connect', 'descriptors/descriptors'],
  ...['embedded-zitadel', 'errors-for-typescript', 'failed-start', 'frontend-docs', 'gateways/composition'],
  ...[
    'gateways/demo-supergraph',
    'generations',
    'habits',
    'house',
    'limit-stores',
    'links',
    'logs',
    'monitoring',
    'pack',
  ],
  ...['recorded-answers', 'recorded-requests', 'redis-connection', 'redis-faults', 'shared-limits'],
  ...['standard-output', 'three-processes', 'tools/released', 'user-id', 'zitadel-docs'],
];

const stories = {
  include: ['test/*.test.ts', 'test/*/*.test.ts'],
  globalSetup: 'test/support/has-redis.ts',
  // On a machine with one core, Vitest would run group 0 last.
  sequence: { groupOrder: 1 },
};

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  // Otherwise Vite would load graphql's ES modules and Node its CommonJS ones, and graphql rejects objects of another copy.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    // The tests mostly wait for sockets and processes.
    maxWorkers: '100%',
    // Long enough for a very busy machine. A test that hangs still fails.
    testTimeout: 120_000,
    projects: [
      { extends: true, test: { ...stories, name: 'stories', exclude: ['test/logs.test.ts'] } },
      // The same stories, but this server calls ZITADEL over Connect.
      {
        extends: true,
        test: {
          ...stories,
          name: 'connect',
          env: { TEST_ZITADEL_API: 'connect' },
          exclude: neutral.map((name) => `test/${name}.test.ts`),
        },
      },
      // Reads the logs of all servers in the stories, so it comes last.
      { extends: true, test: { name: 'logs', include: ['test/logs.test.ts'], sequence: { groupOrder: 2 } } },
      // These take long, or need things that `npm test` must not depend on.
      ...['soak', 'rover', 'frontend', 'container', 'kubernetes', 'prometheus', 'rolling-restart'].map((name) => ({
        extends: true as const,
        test: { name, include: [`test/${name}.check.ts`], testTimeout: 900_000, hookTimeout: 900_000 },
      })),
    ],
  },
});
