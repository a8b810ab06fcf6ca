import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { startChild } from './support/child.js';
import { followDockerfile, type Image } from './support/dockerfile.js';
import { listening } from './support/production.js';
import { resend } from './support/stage.js';

// Tests what the Dockerfile builds, without Docker. It reinstalls everything, so it is not part of `npm test`.

let image: Image;
let folder: string;

beforeAll(async () => {
  ({ image, folder } = await followDockerfile());
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the command of the image in a process on this machine. */
const start = (env: NodeJS.ProcessEnv, [command = '', ...args] = image.command) =>
  startChild(args, { ...image.env, HOST: '127.0.0.1', ...env }, command, join(image.root, image.workdir));

test('it contains only what is needed to start', () => {
  const root = join(image.root, image.workdir);
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
    (path) => !path.startsWith('node_modules'),
  );
  const { dependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as { dependencies: object };
  const has = (name: string) => existsSync(join(root, 'node_modules', name));

  expect(readdirSync(root).sort()).toEqual(['LICENSE', 'README.md', 'dist', 'node_modules', 'package.json', 'schema']);
  expect(files).toContain('dist/main.js');
  expect(files.filter((path) => /\/cli\.|demo|embedded|\.d\.ts$/.test(path))).toEqual(['dist/errors.d.ts']);
  expect(Object.keys(dependencies).filter((name) => !has(name))).toEqual([]);
  expect(['typescript', 'vitest', 'playwright-core', '@opentelemetry/sdk-trace-node'].filter(has)).toEqual([]);
});

test('Node.js is process 1, as an unprivileged user, in production mode', () => {
  expect(image).toMatchObject({ command: ['node', 'dist/main.js'], user: 'node', env: { NODE_ENV: 'production' } });
  expect(image.from).toMatch(/^node:\d+-slim$/);
});

test('it starts, is healthy, resends a code, and handles a signal', async () => {
  await using zitadel = await startEmbeddedZitadel();
  await using server = start({
    ZITADEL_URL: zitadel.url,
    PORT: '0',
    PLAYGROUND: 'true',
    REDIS_URL: 'redis://127.0.0.1:1',
  });
  const [, url = ''] = await server.printed(listening);
  const { port: PORT } = new URL(url);

  expect((await resend(url)).errors).toBeUndefined();
  expect((await fetch(`${url}/playground/`)).status).toBe(200);
  await using healthy = start({ PORT }, image.healthCheck);
  expect(await healthy.exited).toBe(0);
  server.kill('SIGTERM');
  expect(await server.exited).toBe(0);
  await using gone = start({ PORT }, image.healthCheck);
  expect(await gone.exited).toBe(1);
});

test('it can also log for people', async () => {
  await using server = start({ ZITADEL_URL: 'http://127.0.0.1:1', PORT: '0', LOG_FORMAT: 'pretty' });

  await server.printed(/INFO.*listening/);
});

test('it reports what to install for traces, and that is enough', async () => {
  const env = { ZITADEL_URL: 'http://127.0.0.1:1', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1', PORT: '0' };
  await using without = start(env);
  expect(await without.exited).toBe(1);
  const [, command = ''] =
    /^OTEL_EXPORTER_OTLP_ENDPOINT needs packages .*: (npm install .*)\n$/.exec(without.output.stderr) ?? [];
  expect(readFileSync('docs/operations.md', 'utf8')).toContain(`\`${command}\``);

  // Keeps the variables that configure npm's registry.
  await using install = start({ ...process.env, ...image.env }, ['sh', '-c', `${command} --no-audit --no-fund`]);
  expect([await install.exited, existsSync(join(image.root, image.workdir, 'node_modules/vitest'))]).toEqual([
    0,
    false,
  ]);

  await using server = start(env);
  await server.printed(listening);
});
