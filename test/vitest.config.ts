import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

export default defineConfig({
  root: fileURLToPath(new URL('..', import.meta.url)),
  // Vite would take graphql's ES modules and Node its CommonJS ones: two realms, and graphql refuses the other's objects.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    globalSetup: 'test/support/log-folder.ts',
    projects: [
      { extends: true, test: { name: 'stories', include: ['test/*.test.ts'], exclude: ['test/logs.test.ts'] } },
      // Reads what the servers of all the stories have logged, so it comes last.
      { extends: true, test: { name: 'logs', include: ['test/logs.test.ts'], sequence: { groupOrder: 1 } } },
    ],
  },
});
