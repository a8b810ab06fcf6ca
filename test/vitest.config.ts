import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

// Where the servers of the tests leave their log lines, and each embedded ZITADEL its codes. In the environment, since this file is
// read again for each project.
if (process.env['TEST_LOG_FOLDER'] === undefined) {
  const folder = mkdtempSync(join(tmpdir(), 'contact-phone-logs-'));
  process.env['TEST_LOG_FOLDER'] = folder;
  process.once('exit', () => rmSync(folder, { recursive: true }));
}

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  // Vite would take graphql's ES modules and Node its CommonJS ones: two realms, and graphql refuses the other's objects.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    // The stories wait for sockets and processes more than they compute.
    maxWorkers: '100%',
    // Long enough for a machine that is busy with ten other things: what hangs fails all the same.
    testTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'stories',
          include: ['test/*.test.ts'],
          exclude: ['test/logs.test.ts'],
          globalSetup: 'test/support/has-redis.ts',
          // On a machine with one core, Vitest would put group 0 last.
          sequence: { groupOrder: 1 },
        },
      },
      // Reads what the servers of all the stories have logged, so it comes last.
      { extends: true, test: { name: 'logs', include: ['test/logs.test.ts'], sequence: { groupOrder: 2 } } },
      // Each takes a while, or needs what `npm test` must do without.
      ...['soak', 'rover', 'container'].map((name) => ({
        extends: true as const,
        test: { name, include: [`test/${name}.check.ts`], testTimeout: 900_000, hookTimeout: 900_000 },
      })),
    ],
  },
});
