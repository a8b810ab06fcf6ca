import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startChild } from './child.js';
import { freePort } from './redis.js';

/** Debian's package is unpacked here, and not installed: installing it would start a service. */
const unpacked = join(tmpdir(), 'contact-phone-prometheus');

/** Where Prometheus or promtool is: on the PATH, or in Debian's package, which is downloaded once. */
function binary(name: 'prometheus' | 'promtool'): string {
  if (!spawnSync(name, ['--version']).error) return name;
  if (!existsSync(unpacked)) download();
  return join(unpacked, 'usr/bin', name);
}

function download(): void {
  const folder = mkdtempSync(`${unpacked}-`);
  const run = (...[command = '', ...args]: string[]) => spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
  const isRoot = process.getuid?.() === 0;
  // A fresh machine has no list of packages yet, and an old list may name a package that is gone.
  if (run('apt-get', 'download', 'prometheus').status !== 0) run(...(isRoot ? [] : ['sudo']), 'apt-get', 'update');
  const { status, error, stderr } = run('apt-get', 'download', 'prometheus');
  if (status !== 0) {
    const why = error?.message ?? stderr;
    throw new Error(`Install Prometheus, or run this on Debian, where apt-get can download it. ${why}`);
  }
  const [file = ''] = readdirSync(folder).filter((one) => one.endsWith('.deb'));
  const unpacking = run('dpkg', '-x', file, 'package');
  if (unpacking.status !== 0) throw new Error(`dpkg cannot unpack ${file}. ${unpacking.stderr}`);
  // Two checks may run at once: the first one wins.
  if (!existsSync(unpacked)) renameSync(join(folder, 'package'), unpacked);
  rmSync(folder, { recursive: true });
}

/** Runs promtool, and returns what it printed. Fails if promtool does. */
export function promtool(...args: string[]): string {
  const { status, error, stdout, stderr } = spawnSync(binary('promtool'), args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`promtool ${args.join(' ')}\n${error?.message ?? ''}${stdout}${stderr}`);
  return stdout;
}

interface Series {
  metric: Record<string, string>;
  value: [time: number, value: string];
}

interface Alert {
  labels: Record<string, string>;
  annotations: Record<string, string>;
  state: 'pending' | 'firing';
}

/**
 * A real Prometheus that scrapes these origins every two seconds: on a busy machine, a scrape may take that long.
 *
 * @param jobs the origins of each job
 * @param rules the contents of a rule file
 */
export async function startPrometheus(jobs: Record<string, string[]>, rules: string) {
  const folder = mkdtempSync(join(tmpdir(), 'contact-phone-prometheus-data-'));
  mkdirSync(join(folder, 'data'));
  const config = {
    global: { scrape_interval: '2s', scrape_timeout: '2s', evaluation_interval: '1s' },
    rule_files: ['alerts.yaml'],
    scrape_configs: Object.entries(jobs).map(([name, origins]) => ({
      job_name: name,
      static_configs: [{ targets: origins.map((origin) => new URL(origin).host) }],
    })),
  };
  // JSON is YAML too.
  writeFileSync(join(folder, 'prometheus.yaml'), JSON.stringify(config));
  writeFileSync(join(folder, 'alerts.yaml'), rules);
  const listenAt = `127.0.0.1:${await freePort()}`;
  const options = [
    `--config.file=${join(folder, 'prometheus.yaml')}`,
    `--storage.tsdb.path=${join(folder, 'data')}`,
    `--web.listen-address=${listenAt}`,
  ];
  const child = startChild(options, {}, binary('prometheus'));
  await child.complained(/Server is ready to receive web requests/);

  const get = async <Data>(path: string): Promise<Data> => {
    const response = await fetch(`http://${listenAt}/api/v1/${path}`);
    const { data, error } = (await response.json()) as { data?: Data; error?: string };
    if (data === undefined) throw new Error(`${decodeURIComponent(path)}: ${error}`);
    return data;
  };
  return {
    /** The series that an expression has at this time, in seconds since 1970. */
    query: async (expression: string, time = Date.now() / 1000) =>
      (await get<{ result: Series[] }>(`query?time=${time}&query=${encodeURIComponent(expression)}`)).result,
    /** The alerts that are pending or firing. */
    alerts: async () => (await get<{ alerts: Alert[] }>('alerts')).alerts,
    async [Symbol.asyncDispose]() {
      await child[Symbol.asyncDispose]();
      rmSync(folder, { recursive: true });
    },
  };
}
