import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import ts from 'typescript';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readResults } from '../bench/results.js';
import { median } from '../bench/statistics.js';
import { readConfig } from '../src/config/config.js';
import { startEmbeddedZitadel } from '../src/embedded-zitadel/embedded-zitadel.js';
import { environment } from '../src/config/environment.js';
import { startServer } from '../src/server.js';
import { readYaml, type Compose, type Kustomization, type Manifest, type Manifests } from './support/manifests.js';
import { blocks, section, table } from './support/markdown.js';
import { until } from './support/until.js';

// Checks deploy/kubernetes/ and deploy/compose.yaml without a cluster and without Docker. It installs Python packages, so it is not part of
// `npm test`.

// Vitest considers a worker dead that blocks for a minute.
const run = promisify(execFile);
const folder = 'deploy/kubernetes';
const app = 'contact-phone-subgraph';
const { name, version } = JSON.parse(readFileSync('package.json', 'utf8')) as { name: string; version: string };

const kustomization = readYaml(`${folder}/kustomization.yaml`) as Kustomization;
const files = readdirSync(folder).filter((file) => file !== 'kustomization.yaml');
const manifests = Object.fromEntries(
  files.map((file) => [basename(file, '.yaml'), readYaml(join(folder, file))]),
) as unknown as Manifests;
const all = Object.values(manifests) as Manifest[];
const { spec: pod, metadata: podMetadata } = manifests.deployment.spec.template;
const [container] = pod.containers;
const compose = readYaml('deploy/compose.yaml') as Compose;
const { 'contact-phone-subgraph': composed, valkey } = compose.services;
const page = readFileSync('docs/operations.md', 'utf8');

let temporary: string;

beforeAll(async () => {
  temporary = mkdtempSync(join(tmpdir(), 'contact-phone-kubernetes-'));
  await run('python3', ['-m', 'venv', join(temporary, 'venv')]);
  const packages = ['kubernetes-validate==1.37.0', 'check-jsonschema==0.39.0'];
  await run(tool('pip'), ['install', '--quiet', '--disable-pip-version-check', ...packages]);
});
afterAll(() => rmSync(temporary, { recursive: true }));

const tool = (command: string) => join(temporary, 'venv/bin', command);

/** What a command complains about; nothing if it succeeds. */
const complaint = async (command: string, args: string[]) =>
  run(tool(command), args).then(
    () => '',
    (error: unknown) => Object.values(error as { stdout: string; stderr: string }).join('\n'),
  );

/** A copy with a change. */
function changed(file: string, from: string, to: string): string {
  const text = readFileSync(file, 'utf8');
  expect(text.split(from)).toHaveLength(2);
  const copy = join(temporary, basename(file));
  writeFileSync(copy, text.replace(from, to));
  return copy;
}

const built = files.filter((file) => file !== 'service-monitor.yaml').map((file) => join(folder, file));
const validate = (paths: string[], kubernetes = '1.37') =>
  complaint('kubernetes-validate', ['--strict', '--quiet', '--kubernetes-version', kubernetes, ...paths]);

test('kustomize only concatenates the files in the folder, and sets the image', () => {
  expect(Object.keys(kustomization)).toEqual(['apiVersion', 'kind', 'resources', 'images']);
  expect(kustomization.resources.toSorted()).toEqual(files.toSorted());
  expect(kustomization.images.map(({ name }) => name)).toEqual(pod.containers.map(({ image }) => image));
  expect(new Set(all.map(({ kind }) => kind)).size).toBe(files.length);
});

test('each image has an immutable tag, which for ours is the version', () => {
  const [{ newName, newTag }] = kustomization.images;

  expect([name, newTag, composed.image]).toEqual([app, version, `${app}:${version}`]);
  expect(newName).toMatch(new RegExp(`^registry\\.example\\.com/${app}$`));
  expect(valkey.image).toMatch(/^valkey\/valkey:\d+\.\d+\.\d+$/);
});

test.each(['1.27', '1.37'])('the manifests are valid for Kubernetes %s', async (kubernetes) => {
  expect(section(page, 'Kubernetes')).toContain('Kubernetes 1.27 or newer');
  expect(await validate(built, kubernetes)).toBe('');
});

test.each([
  ['deployment', 'periodSeconds: 10', "periodSeconds: '10'", /periodSeconds/],
  ['deployment', 'readOnlyRootFilesystem', 'readonlyRootFilesystem', /readonlyRootFilesystem/],
  ['network-policy', 'egress:', 'egres:', /egres/],
  ['config-map', "SMS_BUDGET: 'off'", 'SMS_BUDGET: off', /SMS_BUDGET/],
])('a mistake in the %s is found: %s', async (name, from, to, found) => {
  expect(await validate([changed(`${folder}/${name}.yaml`, from, to)])).toMatch(found);
});

/** What the compiler says about these, with the types of the Prometheus Operator. Its schema would accept misspelt fields. */
function checkServiceMonitors(...list: unknown[]): string[] {
  // This file need not exist: its path only selects the folder where the types are installed.
  const file = resolve('test/tools/service-monitors.ts');
  const types = '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor';
  const text = list.map((one) => `(${JSON.stringify(one)}) satisfies import('${types}').IServiceMonitor;`);
  const options = { module: ts.ModuleKind.NodeNext, strict: true, skipLibCheck: true, noEmit: true, types: [] };
  const host = ts.createCompilerHost(options);
  const program = ts.createProgram([file], options, {
    ...host,
    fileExists: (path) => path === file || host.fileExists(path),
    getSourceFile: (path, ...rest) =>
      path === file
        ? ts.createSourceFile(path, text.join('\n'), ts.ScriptTarget.ES2023)
        : host.getSourceFile(path, ...rest),
  });
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

test('the ServiceMonitor is valid for the Prometheus Operator', () => {
  const { spec, ...rest } = manifests['service-monitor'];
  const withEndpoint = (endpoint: object) => ({ ...rest, spec: { ...spec, endpoints: [endpoint] } });

  expect(checkServiceMonitors(manifests['service-monitor'])).toEqual([]);
  expect(checkServiceMonitors(withEndpoint({ port: 9464 }), withEndpoint({ port: 'metrics', paht: '/' }))).toEqual([
    expect.stringContaining("'number' is not assignable to type 'string'"),
    expect.stringContaining('\'"paht"\' does not exist'),
  ]);
});

test('the Compose file is valid', async () => {
  const check = (file: string) => complaint('check-jsonschema', ['--builtin-schema', 'vendor.compose-spec', file]);

  expect(await check('deploy/compose.yaml')).toBe('');
  expect(await check(changed('deploy/compose.yaml', 'stop_grace_period: 30s', 'stop_graceperiod: 30s'))).toMatch(
    /stop_graceperiod/,
  );
  expect(await check(changed('deploy/compose.yaml', 'internal: true', 'internal: [true]'))).toMatch(/internal/);
});

test('every object has the same name and labels, and every selector finds the pods', () => {
  const labels = {
    'app.kubernetes.io/name': app,
    'app.kubernetes.io/component': 'subgraph',
    'app.kubernetes.io/part-of': 'supergraph',
  };
  const ofPods = { 'app.kubernetes.io/name': app };
  const { deployment, service } = manifests;

  for (const { metadata } of all) expect(metadata).toEqual({ name: app, labels });
  expect(podMetadata.labels).toEqual(labels);
  expect([
    deployment.spec.selector.matchLabels,
    service.spec.selector,
    manifests['service-monitor'].spec.selector.matchLabels,
    manifests['pod-disruption-budget'].spec.selector.matchLabels,
    manifests['network-policy'].spec.podSelector.matchLabels,
    ...pod.topologySpreadConstraints.map(({ labelSelector }) => labelSelector.matchLabels),
  ]).toEqual(Array(7).fill(ofPods));
  expect(manifests['horizontal-pod-autoscaler'].spec.scaleTargetRef).toEqual({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    name: app,
  });
  expect(container.envFrom).toEqual([{ configMapRef: { name: app } }]);
  expect(pod.volumes.map(({ secret }) => secret.secretName)).toEqual([app]);
});

const ZITADEL_URL = 'http://127.0.0.1:1';
const secrets = {
  ROUTER_SECRETS: 'a-secret-of-the-router',
  PHONE_HASH_KEY: 'a-key-to-hash-the-numbers',
  REDIS_URL: 'rediss://:password@127.0.0.1:1/0',
};

/** The environment of the Compose file with these variables set outside. */
function interpolated(outside: Record<string, string>): Record<string, string> {
  const entries = Object.entries(composed.environment).map(([name, value]) => {
    const [, variable = '', required = '', fallback = ''] = /^\$\{(\w+):(?:\?(.+)|-(.*))\}$/.exec(value) ?? [];
    if (required !== '' && outside[variable] === undefined) throw new Error(`${variable}: ${required}`);
    return [name, variable === '' ? value : (outside[variable] ?? fallback)] as const;
  });
  return Object.fromEntries(entries);
}

/** As in a container, with the secrets' folder mounted elsewhere. */
function mount(env: Record<string, string>, path: string): Record<string, string> {
  const mounted = mkdtempSync(join(temporary, 'secrets-'));
  for (const [name, secret] of Object.entries(secrets)) writeFileSync(join(mounted, name), `${secret}\n`);
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => [
      name,
      name.endsWith('_FILE') && dirname(value) === path ? join(mounted, basename(value)) : value,
    ]),
  );
}

const ofContainer = {
  ...manifests['config-map'].data,
  ...Object.fromEntries(container.env.map(({ name, value }) => [name, value])),
};
const [{ mountPath }] = container.volumeMounts;

test('the server accepts the configuration of the Deployment, once ZITADEL_URL is set', () => {
  const env = mount(ofContainer, mountPath);

  const names = [...Object.keys(manifests['config-map'].data), ...container.env.map(({ name }) => name)];
  expect(names.filter((name, index) => !(name in environment.shape) || names.indexOf(name) !== index)).toEqual([]);
  expect(() => readConfig(env)).toThrow(/^Invalid configuration:\n {2}ZITADEL_URL .*$/);
  expect(readConfig({ ...env, ZITADEL_URL })).toMatchObject({
    http: { host: '0.0.0.0', routerSecrets: [secrets.ROUTER_SECRETS] },
    limits: { phoneHashKeys: [secrets.PHONE_HASH_KEY], redisUrl: new URL(secrets.REDIS_URL), smsBudgets: [] },
    traces: { collector: undefined, warnings: [] },
  });
});

test('the server accepts the configuration of the Compose file, which requires ZITADEL_URL', () => {
  const env = mount(interpolated({ ZITADEL_URL }), '/run/secrets');

  expect(() => interpolated({})).toThrow(/^ZITADEL_URL: Set it/);
  expect(Object.keys(env).filter((name) => !(name in environment.shape))).toEqual([]);
  expect(readConfig(env)).toMatchObject({
    http: { port: 4001, routerSecrets: [secrets.ROUTER_SECRETS] },
    limits: { phoneHashKeys: [secrets.PHONE_HASH_KEY], redisUrl: new URL('redis://valkey:6379') },
    sms: { countries: [] },
  });
  expect([composed.ports, valkey.ports]).toEqual([['127.0.0.1:4001:4001'], undefined]);
  expect(compose.secrets).toEqual(
    Object.fromEntries(composed.secrets.map((name) => [name, { file: `secrets/${name}` }])),
  );
});

test('the ports agree, and the NetworkPolicy lets the router and Prometheus in', () => {
  const { http, metrics } = readConfig({ ...mount(ofContainer, mountPath), ZITADEL_URL });
  const ports = { http: http.port, metrics: metrics.port };
  const { ingress, egress } = manifests['network-policy'].spec;

  expect(Object.fromEntries(container.ports.map(({ name, containerPort }) => [name, containerPort]))).toEqual(ports);
  expect(manifests.service.spec.ports).toEqual(
    Object.entries(ports).map(([name, port]) => ({ name, port, targetPort: name })),
  );
  expect(manifests['service-monitor'].spec.endpoints).toEqual([{ port: 'metrics' }]);
  expect(ingress.map(({ ports }) => ports)).toEqual([[{ port: 'http' }], [{ port: 'metrics' }]]);
  expect(ingress.every(({ from = [] }) => from.length > 0)).toBe(true);
  expect(egress.flatMap(({ ports }) => ports.map(({ port }) => port))).toEqual([53, 53, 443, 6379, 4318]);
});

test('probes and scrapes are answered, even if ZITADEL and Redis are down', async () => {
  const config = readConfig({
    ...mount(ofContainer, mountPath),
    ...{ ZITADEL_URL, HOST: '127.0.0.1', PORT: '0', METRICS_PORT: '0', SHUTDOWN_DELAY_MS: '', LOG_LEVEL: 'silent' },
  });
  await using server = await startServer(config);
  const { startupProbe, livenessProbe, readinessProbe } = container;
  const get = async ({ httpGet: { path, port } }: typeof startupProbe) => {
    expect(port).toBe('http');
    const answer = await fetch(server.url + path);
    return { path, status: answer.status, text: await answer.text() };
  };

  await until(async () => (await get(readinessProbe)).text.includes('"zitadel":"down","redis":"down"'));
  const answers = await Promise.all([startupProbe, livenessProbe, readinessProbe].map(get));
  expect(answers.map(({ path, status }) => [path, status])).toEqual([
    ['/health/live', 200],
    ['/health/live', 200],
    ['/health/ready', 200],
  ]);
  expect(await (await fetch(server.metricsUrl)).text()).toContain('contact_phone_zitadel_up 0');
  expect((await fetch(`${server.url}/metrics`)).status).toBe(404);
});

test('a shutdown ends before the process is killed, and readiness notices it within the delay', () => {
  const { delayMs, timeoutMs } = readConfig({ ...mount(ofContainer, mountPath), ZITADEL_URL }).shutdown;
  const { periodSeconds, timeoutSeconds = 1, failureThreshold } = container.readinessProbe;
  // The last steps may take three seconds: see test/shutdown.test.ts.
  const restMs = 3_000;
  const seconds = /^(\d+)s$/.exec(composed.stop_grace_period)?.[1];
  const inCompose = readConfig(mount(interpolated({ ZITADEL_URL }), '/run/secrets')).shutdown;

  expect(delayMs + timeoutMs + restMs).toBeLessThanOrEqual(pod.terminationGracePeriodSeconds * 1000);
  expect((periodSeconds * failureThreshold + timeoutSeconds) * 1000).toBeLessThan(delayMs);
  expect(inCompose.delayMs + inCompose.timeoutMs + restMs).toBeLessThanOrEqual(Number(seconds) * 1000);
});

test("the user is the image's, and the only one who may read the secrets", () => {
  expect(readFileSync('Dockerfile', 'utf8')).toMatch(/^USER (node|1000:1000)$/m);
  expect(pod.securityContext).toMatchObject({ runAsUser: 1000, runAsGroup: 1000, fsGroup: 1000 });
  expect(pod.volumes.map(({ secret }) => secret.defaultMode)).toEqual([0o440]);
  expect(composed.user).toBe('1000:1000');
});

test('the containers have no privileges that they do not need', () => {
  expect(container.securityContext).toEqual({
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ['ALL'] },
  });
  expect(pod).toMatchObject({
    automountServiceAccountToken: false,
    enableServiceLinks: false,
    securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
  });
  for (const service of Object.values(compose.services)) {
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] });
  }
  // Valkey has no password.
  expect([valkey.networks, compose.networks]).toEqual([['limits'], { limits: { internal: true } }]);
});

test('the resources are those that the benchmark needs', () => {
  const { questions } = readResults('bench/results.json');
  const measured = Object.values(questions).flatMap((question) => Object.entries(question?.peers ?? {}));
  const product = measured.filter(([peer]) => peer.startsWith('contact-phone-subgraph'));
  const memory = Math.ceil(Math.max(...product.flatMap(([, samples = []]) => samples.map((sample) => sample.memory))));
  const sends = questions['send']?.peers['contact-phone-subgraph'] ?? [];
  const cpu = Math.round(median(sends.map((sample) => sample.cpu)));
  const text = readFileSync(`${folder}/deployment.yaml`, 'utf8');
  const { requests, limits } = container.resources;

  expect(text).toContain(`takes ${cpu} µs of CPU`);
  expect(text).toContain(`up to ${memory} MB`);
  expect(parseInt(requests.cpu) * 1000).toBeGreaterThan(900 * cpu);
  expect(requests.memory).toBe(limits.memory);
  expect((parseInt(limits.memory) * 2 ** 20) / 1e6).toBeGreaterThan(memory);
});

test('while one pod is replaced, others are left', () => {
  const { minReplicas } = manifests['horizontal-pod-autoscaler'].spec;

  expect(minReplicas - manifests['pod-disruption-budget'].spec.maxUnavailable).toBeGreaterThanOrEqual(2);
});

const composeSection = section(page, 'Docker Compose');
const kubernetesSection = section(page, 'Kubernetes');

/**
 * Runs commands of the page in a new folder with a copy of deploy/, with stand-ins for programs: other commands in `sh`, which may use `$root`.
 */
async function runPage(text: string, standIns: Record<string, string>, input = '') {
  const root = mkdtempSync(join(temporary, 'root-'));
  cpSync('deploy/kubernetes', join(root, 'deploy/kubernetes'), { recursive: true });
  const defined = Object.entries(standIns).map(([program, body]) => `${program}() { ${body}; }\n`);
  writeFileSync(join(root, 'input'), input);
  const script = `root=$PWD\nexec < "$root/input"\n${defined.join('')}${text}`;
  const { stdout } = await run('sh', ['-euc', script], { cwd: root });
  return { root, printed: stdout.split('\n').filter(Boolean) };
}

const noted = (program: string) => ({ [program]: `echo "${program} $*" >> "$root/calls"` });
const callsIn = (root: string) => readFileSync(join(root, 'calls'), 'utf8').trim().split('\n');

test('the page creates the secrets that the Compose file needs, and starts it', async () => {
  const first = blocks(composeSection, 'sh')[0] ?? '';
  const { root } = await runPage(first, { ...noted('docker'), ...noted('curl') });
  const created = join(root, 'deploy/secrets');
  const [setting = ''] = readFileSync(join(root, 'deploy/.env'), 'utf8').split('\n');
  const env = interpolated({ ZITADEL_URL: setting.replace('ZITADEL_URL=', '') });
  const mounted = Object.entries(env).map(([name, value]) => [name, value.replace('/run/secrets', created)]);

  expect(callsIn(root)).toEqual([
    'docker compose -f deploy/compose.yaml up --build --detach --wait',
    'curl --fail http://127.0.0.1:4001/health/ready',
  ]);
  expect(statSync(created).mode & 0o777).toBe(0o700);
  const modes = readdirSync(created).map((file) => [file, statSync(join(created, file)).mode & 0o777]);
  expect(Object.fromEntries(modes)).toEqual(Object.fromEntries(composed.secrets.map((file) => [file, 0o644])));
  expect(readConfig(Object.fromEntries(mounted) as Record<string, string>).http.routerSecrets).toHaveLength(1);
  expect(readFileSync('.gitignore', 'utf8').split('\n')).toEqual(expect.arrayContaining(['.env', 'deploy/secrets/']));
});

test('the page signals the server in the Compose file', async () => {
  const { root } = await runPage(blocks(composeSection, 'sh')[1] ?? '', noted('docker'));
  const [call = ''] = callsIn(root);

  expect(blocks(composeSection, 'sh')).toHaveLength(2);
  expect(call.split(' ').slice(0, 5)).toEqual(['docker', 'compose', '-f', 'deploy/compose.yaml', 'exec']);
  expect(Object.keys(compose.services)).toContain(call.split(' ')[5]);
});

const [build = '', namespace = '', secret = '', apply = '', ask = '', signal = ''] = blocks(kubernetesSection, 'sh');

test('the page builds the image that the Deployment runs, and applies files that exist', async () => {
  const [{ newName, newTag }] = kustomization.images;
  const { root } = await runPage(build + namespace + apply, { ...noted('docker'), ...noted('kubectl') });
  const rows = table(page, 'Kubernetes').map(([file = '']) => file);

  expect(blocks(kubernetesSection, 'sh')).toHaveLength(6);
  expect(callsIn(root)).toEqual([
    `docker build -t ${newName}:${newTag} .`,
    `docker push ${newName}:${newTag}`,
    'kubectl create namespace contact-phone',
    'kubectl label namespace contact-phone pod-security.kubernetes.io/enforce=restricted',
    'kubectl config set-context --current --namespace contact-phone',
    `kubectl apply -k ${folder}`,
    `kubectl rollout status deployment/${app}`,
  ]);
  expect(rows).toHaveLength(4);
  expect([...files, 'kustomization.yaml']).toEqual(expect.arrayContaining(rows));
  const { port } = readConfig({ ZITADEL_URL }).http;
  expect(kubernetesSection).toContain(`\`http://${app}.contact-phone.svc:${port}/graphql\``);
  expect(kubernetesSection).toContain(`up{job="${manifests.service.metadata.name}"}`);
});

test('the page creates the secrets that the Deployment needs', async () => {
  const { root } = await runPage(secret, noted('kubectl'), `${secrets.REDIS_URL}\n`);
  const created = join(root, 'deploy/secrets');
  const env = Object.entries(ofContainer).map(([name, value]) => [name, value.replace(mountPath, created)]);

  expect(callsIn(root).toSorted()).toEqual([
    'kubectl apply --server-side -f -',
    `kubectl create secret generic ${app} --from-file deploy/secrets --dry-run=client --output yaml`,
  ]);
  const { http, limits } = readConfig({ ...(Object.fromEntries(env) as Record<string, string>), ZITADEL_URL });
  expect([http.routerSecrets.length, limits.phoneHashKeys?.length, limits.redisUrl?.href]).toEqual([
    1,
    1,
    secrets.REDIS_URL,
  ]);
});

test('the page asks a pod for its state', async () => {
  await using zitadel = await startEmbeddedZitadel();
  await using server = await startServer(
    readConfig({ ZITADEL_URL: zitadel.url, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'silent' }),
  );
  await until(async () => (await (await fetch(`${server.url}/health/ready`)).text()).includes('"zitadel":"up"'));
  const there = ask.replace('http://127.0.0.1:4001', server.url);
  const { printed } = await runPage(there, { kubectl: `echo "$1 $2 $3"; shift 3; "$@"` });

  expect(printed).toEqual([`exec deployment/${app} --`, '{"status":"ok","zitadel":"up"}']);
});

test('the page signals each pod once it has the new secrets', async () => {
  // The second pod gets them while the loop sleeps.
  const prepare = `mkdir -p deploy/secrets pod/a pod/b
printf new > deploy/secrets/ROUTER_SECRETS
cp deploy/secrets/* pod/a
printf old > pod/b/ROUTER_SECRETS
`;
  const { root } = await runPage(prepare + signal, {
    kubectl: `case $1 in
get) echo "$*" >> "$root/calls"; echo pod/a; echo pod/b;;
exec) sh -c "$(printf %s "$7" | sed "s#${mountPath}#$root/$3#; s#kill -HUP 1#echo signalled $3 >> $root/calls#")";;
esac`,
    // Once is enough.
    sleep:
      '! grep -q sleep "$root/calls" || exit 1; echo sleep >> "$root/calls"; cp "$root"/deploy/secrets/* "$root/pod/b"',
  });

  expect(callsIn(root)).toEqual([
    `get pods --selector app.kubernetes.io/name=${app} --field-selector status.phase=Running --output name`,
    'signalled pod/a',
    'sleep',
    'signalled pod/b',
  ]);
});
