import { readdirSync, readFileSync } from 'node:fs';
import { relative, resolve, sep } from 'node:path';
import { build } from 'rolldown';

const dist = resolve('dist');

const partOfUndici = `
export { default as Pool } from 'undici/lib/dispatcher/pool.js';
export { default as buildConnector } from 'undici/lib/core/connect.js';
export { default as errors } from 'undici/lib/core/errors.js';`;

// Bundles what tsc has built: loading a thousand files takes longer than running them. What is imported lazily becomes a file of its own.
// This is a script because rolldown's command prints a table, and `npm pack` must print only the name of its file.
await build({
  input: 'dist/main.js',
  platform: 'node',
  // Optional packages, and those that read files beside their own.
  external: [/^@opentelemetry\//, 'class-validator', 'altair-static', '@fastify/static'],
  output: {
    dir: 'dist/bundle',
    chunkFileNames: '[name].js',
    // type-graphql names the schema's types as their classes are named.
    keepNames: true,
    minify: false,
    comments: { legal: true, annotation: false, jsdoc: false },
    sourcemap: true,
    // They are in dist/ and node_modules/.
    sourcemapExcludeSources: true,
  },
  logLevel: 'warn',
  plugins: [
    {
      // undici's index also loads fetch, WebSocket and caches, which stay in memory.
      name: 'part-of-undici',
      resolveId: (source) => (source === 'undici' ? '\0undici' : null),
      load: (id) => (id === '\0undici' ? partOfUndici : null),
    },
    {
      // `import.meta.url` stays that of the file in dist/, which the code reads other files beside.
      name: 'files-beside-modules',
      transform(code, id) {
        if (!id.startsWith(dist + sep) || !code.includes('import.meta.url')) return undefined;
        const url = `new URL('../${relative(dist, id).replaceAll(sep, '/')}', import.meta.url)`;
        return { code: code.replaceAll('import.meta.url', url), map: null };
      },
    },
    {
      // With any other character, V8 would store each character of the file in two bytes.
      name: 'latin1',
      renderChunk(code) {
        const escape = (/** @type {string} */ unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
        return { code: code.replace(/[^\0-\xff]/g, escape), map: null };
      },
    },
    {
      // The bundle contains copies of these packages, so it carries their licences.
      name: 'licences',
      generateBundle() {
        const ids = [...this.getModuleIds()].map((id) => id.replaceAll(sep, '/'));
        const folders = new Set(ids.flatMap((id) => /^.*\/node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(id)?.[0] ?? []));
        const texts = [...folders].sort().map((folder) => {
          const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
          const { name, version, license } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
          return `${name} ${version}: ${license}\n\n${file ? readFileSync(`${folder}/${file}`, 'utf8') : ''}`;
        });
        this.emitFile({ type: 'asset', fileName: 'LICENSES.txt', source: texts.join('\n\n----\n\n') });
      },
    },
  ],
});
