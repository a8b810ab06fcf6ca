import { execFile } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';

// Vitest considers a worker dead that blocks for a minute.
const run = promisify(execFile);

export interface Image {
  /** The location of its root on this machine. */
  root: string;
  from: string;
  env: Record<string, string>;
  workdir: string;
  user: string;
  labels: Record<string, string>;
  command: string[];
  healthCheck: string[];
}

/**
 * Runs our Dockerfile on this machine, without Docker: each stage in a folder of its own, with the local Node.js instead of the base
 * image. It supports only the instructions that occur there, and fails on any other.
 */
export async function followDockerfile(): Promise<{ image: Image; folder: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'contact-phone-image-'));
  // The user of the image must be able to read what is inside.
  chmodSync(folder, 0o755);
  const stages = new Map<string, Image>();
  let stage: Image | undefined;
  for (const line of readFileSync('Dockerfile', 'utf8').split('\n')) {
    const [, instruction, rest = ''] = /^([A-Z]+) (.*)$/.exec(line) ?? [];
    if (instruction === undefined) continue;
    if (instruction === 'FROM') {
      const [from = '', , name = 'final'] = rest.split(' ');
      stage = {
        root: join(folder, name),
        from,
        env: {},
        workdir: '/',
        user: 'root',
        labels: {},
        command: [],
        healthCheck: [],
      };
      stages.set(name, stage);
      continue;
    }
    if (!stage) throw new Error(`This belongs to no stage: ${line}`);
    await follow(stage, instruction, rest, stages);
  }
  if (!stage) throw new Error('There is no stage.');
  return { image: stage, folder };
}

async function follow(
  stage: Image,
  instruction: string,
  rest: string,
  stages: ReadonlyMap<string, Image>,
): Promise<void> {
  const here = join(stage.root, stage.workdir);
  switch (instruction) {
    case 'WORKDIR':
      stage.workdir = rest;
      mkdirSync(join(stage.root, rest), { recursive: true });
      return;
    case 'COPY': {
      const [, from, paths = ''] = /^(?:--from=(\w+) )?(.*)$/.exec(rest) ?? [];
      const sources = paths.split(' ');
      const target = join(here, sources.pop() ?? '');
      for (const source of sources) {
        const path = from === undefined ? source : join(stages.get(from)?.root ?? '', source);
        // COPY copies the contents of a folder.
        const isInto = /\/$/.test(paths) && from === undefined;
        cpSync(path, isInto ? join(target, basename(source)) : target, { recursive: true });
      }
      return;
    }
    case 'RUN':
      await run('sh', ['-euc', rest], { cwd: here });
      return;
    case 'ENV': {
      const [name = '', value = ''] = rest.split('=');
      stage.env[name] = value;
      return;
    }
    case 'USER':
      stage.user = rest;
      return;
    case 'LABEL': {
      const [, name = '', value = ''] = /^([\w.]+)="(.*)"$/.exec(rest) ?? [];
      stage.labels[name] = value;
      return;
    }
    case 'EXPOSE':
      return;
    case 'CMD':
      stage.command = JSON.parse(rest) as string[];
      return;
    case 'HEALTHCHECK':
      stage.healthCheck = JSON.parse(rest.slice(rest.indexOf('['))) as string[];
      return;
    default:
      throw new Error(`Not known here: ${instruction}`);
  }
}
