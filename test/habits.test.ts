import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { parse } from 'yaml';

interface Package {
  version: string;
  private: boolean;
  engines: { node: string };
  prettier: { printWidth: number };
  scripts: Record<string, string>;
  dependencies?: Record<string, string>;
  devDependencies?: Record<string, string>;
}
interface Step {
  name?: string;
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
}
interface Job {
  needs?: string;
  uses?: string;
  permissions?: Record<string, string>;
  'timeout-minutes'?: number;
  strategy?: { matrix: Record<string, string[]> };
  steps?: Step[];
}
interface Workflow {
  permissions: Record<string, string>;
  jobs: Record<string, Job>;
}

const read = (path: string) => readFileSync(path, 'utf8');
const json = (path: string): unknown => JSON.parse(read(path));

const ours = json('package.json') as Package;
const lockfile = json('package-lock.json') as {
  version: string;
  packages: Record<string, { license?: string; dev?: boolean }>;
};
const ci = parse(read('.github/workflows/ci.yml')) as Workflow;
const release = parse(read('.github/workflows/release.yml')) as Workflow;
const renovate = json('.github/renovate.json') as {
  ignorePaths: string[];
  constraints: { node: string };
  packageRules: { matchPackageNames?: string[]; allowedVersions?: string }[];
};

const jobs = [ci, release].flatMap((workflow) => Object.entries(workflow.jobs));
const steps = jobs.flatMap(([, job]) => job.steps ?? []);
const commands = steps.flatMap(({ run }) => run?.trim().split('\n') ?? []);
const [lowestNode = '', newestNode = ''] = ci.jobs['everything']?.strategy?.matrix['node'] ?? [];

const folders = ['.', 'test'].flatMap((parent) => readdirSync(parent).map((name) => join(parent, name)));
const nested = folders.filter((folder) => existsSync(join(folder, 'package.json')));

/** Runs a step of the release in a copy of what it reads, after a change to that copy. */
async function runStep(job: string, name: RegExp, tag: string, change: (folder: string) => void = () => undefined) {
  const script = release.jobs[job]?.steps?.find((step) => name.test(step.name ?? ''))?.run ?? '';
  expect(script).not.toBe('');
  const folder = mkdtempSync(join(tmpdir(), 'contact-phone-release-'));
  try {
    for (const path of ['package.json', 'CHANGELOG.md', 'schema'])
      cpSync(path, join(folder, path), { recursive: true });
    change(folder);
    const env = { ...process.env, GITHUB_REF_NAME: tag };
    const { code, stdout } = await promisify(execFile)('bash', ['-e', '-c', script], { cwd: folder, env }).then(
      (output) => ({ code: 0, ...output }),
      (error: unknown) => error as { code: number; stdout: string },
    );
    const notes = join(folder, 'notes.md');
    return { code, complaint: /^::error::(.*)/m.exec(stdout)?.[1], notes: existsSync(notes) ? read(notes) : undefined };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
/** Runs the check in a copy that is ready for a release, except for the change. */
const checkRelease = (tag: string, change?: (folder: string) => void) =>
  runStep('check', /^Check/, tag, (folder) => {
    cpSync(join(folder, 'schema/contact-phone.graphql'), join(folder, 'schema/released.graphql'));
    const changelog = read(join(folder, 'CHANGELOG.md')).replace(/^## Unreleased$.*?(?=^## )/ms, '');
    writeFileSync(join(folder, 'CHANGELOG.md'), changelog);
    change?.(folder);
  });
const append = (path: string, text: string) => (folder: string) =>
  writeFileSync(join(folder, path), read(join(folder, path)) + text);
const tag = `v${ours.version}`;

test('releases a version only if its tag, package, changelog and released schema agree', async () => {
  const withoutSection = (folder: string) => writeFileSync(join(folder, 'CHANGELOG.md'), '# Changelog\n');
  const checks = {
    right: await checkRelease(tag),
    anotherTag: await checkRelease('v9.9.9'),
    withoutSection: await checkRelease(tag, withoutSection),
    unreleased: await checkRelease(tag, append('CHANGELOG.md', '\n## Unreleased\n')),
    changedSchema: await checkRelease(tag, append('schema/contact-phone.graphql', 'scalar New\n')),
  };

  expect(checks).toMatchObject({
    right: { code: 0, complaint: undefined },
    anotherTag: { code: 1, complaint: 'package.json has another version than the tag.' },
    withoutSection: { code: 1, complaint: 'CHANGELOG.md has no section with this version and its date.' },
    unreleased: { code: 1, complaint: 'CHANGELOG.md has a section of unreleased changes.' },
    changedSchema: { code: 1, complaint: 'Copy schema/contact-phone.graphql to schema/released.graphql.' },
  });
});

test('publishes nothing before the checks and the tests have passed', () => {
  expect(release.jobs['test']).toMatchObject({ needs: 'check', uses: './.github/workflows/ci.yml' });
  expect(release.jobs['image']?.needs).toBe('test');
  expect(release.jobs['release']?.needs).toBe('image');
});

test('takes the release notes from the changelog', async () => {
  const { code, notes } = await runStep('release', /notes/, tag);

  expect(code).toBe(0);
  const [, afterHeading = ''] = read('CHANGELOG.md').split(new RegExp(`^## ${ours.version} - .*\n`, 'm'));
  expect(notes).toBe(afterHeading.slice(0, afterHeading.search(/^## /m)));
  expect(notes).toContain('### Breaking');
});

test('gives workflows no more rights and time than they need', () => {
  expect([ci.permissions, release.permissions]).toEqual([{ contents: 'read' }, { contents: 'read' }]);
  const rights = jobs
    .filter(([, { permissions }]) => permissions !== undefined)
    .map(([name, job]) => [name, job.permissions]);
  expect(Object.fromEntries(rights)).toEqual({
    image: { contents: 'read', packages: 'write' },
    release: { contents: 'write' },
  });

  expect(jobs.filter(([, job]) => job.uses === undefined && job['timeout-minutes'] === undefined)).toEqual([]);
  const checkouts = steps.filter(({ uses }) => uses?.startsWith('actions/checkout@'));
  expect(checkouts.map((step) => step.with)).toEqual(checkouts.map(() => ({ 'persist-credentials': false })));
  const actions = steps.flatMap(({ uses }) => uses ?? []);
  expect(actions.filter((action) => !/^(actions|docker)\/[a-z-]+@(v\d+|[0-9a-f]{40})$/.test(action))).toEqual([]);
});

test('runs only scripts and files that exist', () => {
  const scripts = commands.flatMap((command) => /^npm run (\S+)/.exec(command)?.[1] ?? []);
  expect(scripts).not.toEqual([]);
  expect(scripts.filter((script) => ours.scripts[script] === undefined)).toEqual([]);

  const files = [
    ...commands.filter((command) => command.startsWith('.')),
    ...jobs.flatMap(([, { uses }]) => uses ?? []),
    ...steps.flatMap((step) => (step.with?.['node-version-file'] as string | undefined) ?? []),
  ];
  expect(files).toContain('.ci/run');
  expect(files.filter((file) => !existsSync(file))).toEqual([]);
});

test('names the same versions of Node.js everywhere', () => {
  expect([ours.engines.node, read('.nvmrc'), renovate.constraints.node]).toEqual([
    `>=${lowestNode}`,
    `${lowestNode}\n`,
    lowestNode,
  ]);
  expect(ours.devDependencies?.['@types/node']).toContain(`^${lowestNode}`);

  const images = [...read('Dockerfile').matchAll(/^FROM node:(\d+)/gm)].map(([, version]) => version);
  expect(images).not.toEqual([]);
  const alsoTested = [...read('.ci/run').matchAll(/node@(\d+)/g)].map(([, version]) => version);
  expect(new Set([...images, ...alsoTested])).toEqual(new Set([newestNode]));
});

test('calls the version the same everywhere', () => {
  const [, latest] = /^## (\d\S*)/m.exec(read('CHANGELOG.md')) ?? [];

  expect([lockfile.version, latest]).toEqual([ours.version, ours.version]);
});

test('updates the packages in each folder, and holds back only packages that there are', () => {
  // By default Renovate leaves out all folders that are called test.
  expect(renovate.ignorePaths).toEqual(['**/node_modules/**']);
  const packages = ['.', ...nested].map((folder) => json(join(folder, 'package.json')) as Package);
  const used = new Set(packages.flatMap((its) => Object.keys({ ...its.dependencies, ...its.devDependencies })));

  const heldBack = renovate.packageRules.flatMap((rule) =>
    rule.allowedVersions === undefined ? [] : rule.matchPackageNames,
  );
  expect(heldBack.filter((name) => !used.has(name ?? ''))).toEqual([]);
  expect(ours.dependencies?.['type-graphql']).toMatch(/^\d/);
});

test('pins what is in each folder, and publishes nothing to npm by accident', () => {
  expect(nested).toContain(join('test', 'tools'));
  expect(nested.filter((folder) => !existsSync(join(folder, 'package-lock.json')))).toEqual([]);
  const isPublic = (folder: string) => !(json(join(folder, 'package.json')) as Package).private;
  expect(['.', ...nested].filter(isPublic)).toEqual([]);
});

test('has editors indent and wrap as prettier does', () => {
  const settings: unknown = Object.fromEntries(
    read('.editorconfig')
      .split('\n')
      .map((line) => line.split(' = ')),
  );

  expect(settings).toMatchObject({
    max_line_length: String(ours.prettier.printWidth),
    indent_size: '2',
    end_of_line: 'lf',
  });
});

// Each is approved by the Open Source Initiative.
const openSource = new Set(['0BSD', 'Apache-2.0', 'BlueOak-1.0.0', 'BSD-2-Clause', 'BSD-3-Clause', 'ISC', 'MIT']);

test('names in the README what is not open source among the dependencies', () => {
  const notOpenSource = Object.entries(lockfile.packages)
    .filter(([path, { dev }]) => path !== '' && !dev)
    .filter(([, { license = 'none' }]) => license.split(/[()]| AND /).some((part) => part && !openSource.has(part)))
    .map(([path, { license }]) => [path.replace(/^.*node_modules\//, ''), license]);
  const [, section = ''] = read('README.md').split(/^## Licence\n/m);
  const [, named] = /\bexcept (.+?), which/.exec(section) ?? [];

  expect(notOpenSource).toEqual([[named?.replaceAll('`', ''), 'Elastic-2.0']]);
  expect(section).toContain('Elastic License 2.0');
});
