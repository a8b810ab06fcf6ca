import { questions, type Question } from './questions.js';
import type { Peers, Results, Sample } from './results.js';
import { spreadOf, type Spread } from './statistics.js';

// Writes results.md, the page with all tables.

/** The peers that the others are compared with. */
export const bareProxy = 'bare proxy';
export const mercurius = 'mercurius with JIT';

type Measure = (sample: Sample) => number;

/** Each round's ratio to the other peer in the same round. */
export function ratios(peers: Peers<Sample[]>, peer: string, other: string, measure: Measure): Spread {
  const base = peers[other]?.map(measure) ?? [];
  return spreadOf((peers[peer] ?? []).map((sample, round) => measure(sample) / (base[round] ?? NaN)));
}

export const cpuOf: Measure = ({ cpu }) => cpu;
export const medianOf = (samples: readonly Sample[], measure: Measure) => figure(spreadOf(samples.map(measure)).median);

export function report(results: Results): string {
  const { start, soak } = results;
  const sections = [
    ...questions.flatMap((question) => {
      const asked = results.questions[question.name];
      return asked ? [{ title: question.title, measured: asked.measured, body: answersOf(question, asked.peers) }] : [];
    }),
    ...(start ? [{ title: 'Start and rest', measured: start.measured, body: startsOf(start.peers) }] : []),
    ...(soak ? [{ title: 'Memory under load', measured: soak.measured, body: memoryOf(soak) }] : []),
  ];
  const circumstances = new Set(sections.map(({ measured }) => measured));
  const common = circumstances.size === 1 ? [...circumstances] : [];
  return [
    '# Results of the bench',
    '`npm run bench` writes this page from [results.json](results.json). The [method](method.md) explains what is compared with what.',
    ...common,
    ...sections.flatMap(({ title, measured, body }) => [
      `## ${title}`,
      ...(common.length === 0 ? [measured] : []),
      body,
    ]),
  ].join('\n\n');
}

function answersOf(question: Question, peers: Peers<Sample[]>): string {
  const listed = Object.entries(peers).map(([peer, samples = []]) => ({ peer, samples }));
  const rounds = listed[0]?.samples.length ?? 0;
  const isReference = mercurius in peers;
  const hasOthers = listed.some(({ samples }) => samples.some(({ others }) => others));
  const rows = listed.map(({ peer, samples }) => [
    peer,
    medianOf(samples, cpuOf),
    times(ratios(peers, peer, bareProxy, cpuOf)),
    ...(isReference ? [times(ratios(peers, peer, mercurius, cpuOf))] : []),
    ...(hasOthers ? [cpuOfOthers(samples)] : []),
    ...(question.entities > 1 ? [medianOf(samples, ({ cpu }) => cpu / question.entities)] : []),
    medianOf(samples, ({ requestsPerSecond }) => requestsPerSecond),
    medianOf(samples, ({ p50 }) => p50),
    medianOf(samples, ({ p99 }) => p99),
    times(ratios(peers, peer, bareProxy, ({ p99 }) => p99)),
    medianOf(samples, ({ memory }) => memory),
    medianOf(samples, ({ calls }) => calls),
  ]);
  const head = [
    '',
    'CPU, µs per request',
    'CPU × bare proxy',
    ...(isReference ? ['CPU × mercurius'] : []),
    ...(hasOthers ? ['CPU of other processes, µs per request'] : []),
    ...(question.entities > 1 ? ['CPU, µs per representation'] : []),
    'Requests per second',
    'p50, ms',
    'p99, ms',
    'p99 × bare proxy',
    'Memory, MB',
    'Upstream calls per request',
  ];
  return [
    `\`npm run bench -- ${question.name}\`. Medians of ${rounds} rounds. Ratios are those within a round, with the minimum and the maximum.`,
    table(head, rows),
  ].join('\n\n');
}

function cpuOfOthers(samples: readonly Sample[]): string {
  const names = Object.keys(samples[0]?.others ?? {});
  return names.map((name) => `${name} ${medianOf(samples, ({ others }) => others?.[name] ?? NaN)}`).join(', ');
}

function startsOf(peers: NonNullable<Results['start']>['peers']): string {
  const listed = Object.entries(peers).flatMap(([peer, start]) => (start ? [{ peer, ...start }] : []));
  const rows = listed.map(({ peer, ms, memoryAtRest }) => {
    const { median, least, greatest } = spreadOf(ms);
    return [peer, `${figure(median)} (${figure(least)}–${figure(greatest)})`, figure(memoryAtRest)];
  });
  return [
    `\`npm run bench -- start\`. Medians of ${listed[0]?.ms.length ?? 0} starts, with the minimum and the maximum.`,
    table(['', 'Start to first answer, ms', 'Memory at rest, MB'], rows),
  ].join('\n\n');
}

function memoryOf({ moments, completed }: NonNullable<Results['soak']>): string {
  const last = moments.at(-1)?.seconds ?? 0;
  const part = (from: number, to: number) =>
    figure(
      spreadOf(
        moments.filter(({ seconds }) => seconds > from * last && seconds <= to * last).map(({ memory }) => memory),
      ).median,
    );
  return (
    `\`npm run bench -- soak\`. ${completed.toLocaleString('en')} requests in ${figure(last)} seconds: reads, refusals, codes returned, ` +
    `and a flood of SMS for the same users. The product's median memory in each quarter of that time: ${part(0, 0.25)}, ` +
    `${part(0.25, 0.5)}, ${part(0.5, 0.75)}, ${part(0.75, 1)} MB.`
  );
}

const times = ({ median, least, greatest }: Spread) =>
  `${median.toFixed(2)}× (${least.toFixed(2)}–${greatest.toFixed(2)})`;

export function figure(value: number): string {
  return value >= 100 ? value.toFixed() : value.toFixed(value >= 10 ? 1 : 2);
}

/** @param texts the number of columns that are not numbers */
export function table(head: readonly string[], rows: readonly (readonly string[])[], texts = 1): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, index) => (index < texts ? '---' : '--:'))), ...rows.map(line)].join('\n');
}
