import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConfig } from '../src/config/config.js';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { startChild } from './support/child.js';
import { openCollector } from './support/collector.js';
import { followDockerfile, type Image } from './support/dockerfile.js';
import { linesOf, listening } from './support/production.js';
import { onReadOnlyRoot } from './support/read-only-root.js';
import { resend } from './support/stage.js';

// Tests what the Dockerfile builds, without Docker. It reinstalls everything, so it is not part of `npm test`.

let image: Image;
let folder: string;
/** Where the image's working directory is on this machine. */
let workdir: string;

beforeAll(async () => {
  ({ image, folder } = await followDockerfile());
  workdir = join(image.root, image.workdir);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the command of the image, or another, in a process on this machine, as its user and on a read-only root. */
function start(env: NodeJS.ProcessEnv, command = image.command, user = image.user) {
  const [program, args] = onReadOnlyRoot(user, command);
  return startChild(args, { ...image.env, HOST: '127.0.0.1', ...env }, program, workdir);
}

test('it contains only what is needed to start', () => {
  const files = readdirSync(workdir, { recursive: true, encoding: 'utf8' }).filter(
    (path) => !path.startsWith('node_modules'),
  );
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<
    'dependencies' | 'optionalDependencies',
    Record<string, string>
  >;
  const has = (name: string) => existsSync(join(workdir, 'node_modules', name));

  expect(readdirSync(workdir).sort()).toEqual([
    'LICENSE',
    'README.md',
    'dist',
    'node_modules',
    'package.json',
    'schema',
  ]);
  expect(files).toContain('dist/bundle/main.js');
  expect(files.filter((path) => /\/cli\.|demo|embedded|\.d\.ts$/.test(path))).toEqual(['dist/errors.d.ts']);
  expect(Object.keys({ ...dependencies, ...optionalDependencies }).filter((name) => !has(name))).toEqual([]);
  expect(['typescript', 'vitest', 'playwright-core', '@opentelemetry/sdk-trace-node'].filter(has)).toEqual([]);
});

test('Node.js is process 1, as an unprivileged numeric user, in production mode', () => {
  expect(image).toMatchObject({
    command: ['node', 'dist/bundle/main.js'],
    user: '1000:1000',
    env: { NODE_ENV: 'production' },
  });
  expect(image.from).toMatch(/^node:\d+-slim$/);
});

test('its labels say what package.json says', () => {
  const { name, description, version, license } = JSON.parse(readFileSync('package.json', 'utf8')) as Record<
    string,
    string
  >;

  expect(image.labels).toEqual({
    'org.opencontainers.image.title': name,
    'org.opencontainers.image.description': description,
    'org.opencontainers.image.version': version,
    'org.opencontainers.image.licenses': license,
  });
});

test('its user can read every file, and write none', () => {
  const modes = readdirSync(workdir, { recursive: true, encoding: 'utf8' }).map((path) => {
    const { mode, uid } = statSync(join(workdir, path));
    return { path, uid, others: mode & 0o7 };
  });

  expect(modes.filter(({ others }) => (others & 0o6) !== 0o4)).toEqual([]);
  expect(new Set(modes.map(({ uid }) => uid))).toEqual(new Set([process.getuid?.()]));
});

test('there is nowhere to write a file', async () => {
  for (const path of ['.', '/', '/tmp', '/var/tmp', '/dev/shm']) {
    await using touch = start({ LC_ALL: 'C' }, ['touch', join(path, 'contact-phone')]);

    expect(await touch.exited).toBe(1);
    expect(touch.output.stderr).toContain('Read-only file system');
  }
});

test.each(['json', 'protobuf'] as const)(
  'it starts, is healthy, resends a code, logs, sends a trace as %s, and handles a signal',
  async (format) => {
    await using zitadel = await startEmbeddedZitadel();
    await using collector = await openCollector();
    await using server = start({
      ZITADEL_URL: zitadel.url,
      PORT: '0',
      PLAYGROUND: 'true',
      REDIS_URL: 'redis://127.0.0.1:1',
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      ...(format === 'json' && { OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json' }),
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

    expect(linesOf(server)).toContainEqual(expect.objectContaining({ msg: 'request', code: 'OK' }));
    expect(server.output.stderr).toBe('');
    const [traceId = ''] = zitadel.calls.map(({ headers }) => String(headers['traceparent']).split('-')[1]);
    const [sent] = collector.exports;
    expect(sent?.headers['content-type']).toBe(format === 'json' ? 'application/json' : 'application/x-protobuf');
    expect(sent?.body.includes(format === 'json' ? traceId : Buffer.from(traceId, 'hex'))).toBe(true);
  },
);

test('it also runs as any other user, and logs for people', async () => {
  await using server = start(
    { ZITADEL_URL: 'http://127.0.0.1:1', PORT: '0', LOG_FORMAT: 'pretty' },
    image.command,
    '12345:0',
  );

  await server.printed(/INFO.*listening/);
});

test.each(['127.0.0.1', '0.0.0.0', '::1', '::', 'localhost', undefined])(
  'its health check asks a server on HOST=%s',
  async (HOST) => {
    const ZITADEL_URL = 'http://127.0.0.1:1';
    await using server = start({ ZITADEL_URL, PORT: '0', HOST });
    const [, PORT] = await server.printed(/listening at http:\/\/\S*:(\d+)"/);
    await using check = start({ PORT, HOST }, image.healthCheck);

    expect(await check.exited).toBe(0);
  },
);

test('its health check has the defaults of the server, and fails if another server answers with an error', async () => {
  const { host, port } = readConfig({ ZITADEL_URL: 'http://zitadel' }).http;
  const source = readFileSync('src/health-check.ts', 'utf8');
  expect(source).toContain(`HOST || '${host}'`);
  expect(source).toContain(`PORT || ${port}`);

  const other = createServer((socket) => socket.end('HTTP/1.1 503 Service Unavailable\r\n\r\n')).listen(0, '127.0.0.1');
  await once(other, 'listening');
  await using check = start({ PORT: String((other.address() as AddressInfo).port) }, image.healthCheck);
  expect(await check.exited).toBe(1);
  other.close();
});

test('without its optional packages, it starts and logs why there are no traces', async () => {
  const [prune = ''] = /npm prune [^`]+/.exec(readFileSync('docs/operations.md', 'utf8')) ?? [];
  // Keeps the variables that configure npm's registry.
  await using npm = startChild(
    ['-c', `${prune} --no-audit --no-fund`],
    { ...process.env, ...image.env },
    'sh',
    workdir,
  );
  expect(await npm.exited).toBe(0);
  await using server = start({
    ZITADEL_URL: 'http://127.0.0.1:1',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
    PORT: '0',
  });
  await server.printed(listening);

  expect(existsSync(join(workdir, 'node_modules/@opentelemetry/core'))).toBe(false);
  expect(linesOf(server).filter(({ level }) => level === 'warn')).toMatchObject([
    { msg: expect.stringMatching(/^OTEL_EXPORTER_OTLP_ENDPOINT is set, but .* not installed/) as string },
  ]);
});
