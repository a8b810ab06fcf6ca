import { readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import type { Sample } from './measure.js';
import { bareProxy, type Peer } from './peers.js';
import type { Question } from './questions.js';
import type { Moment } from './soak.js';
import type { Start } from './start.js';
import { spreadOf, type Spread } from './statistics.js';

// Formats the measurements as Markdown.

export interface Results {
  answers: Map<Question, Map<Peer, Sample[]>>;
  starts: Map<Peer, Start> | undefined;
  soak: { moments: Moment[]; completed: number } | undefined;
}

type Measure = (sample: Sample) => number;

export function report({ answers, starts, soak }: Results): string {
  return [
    machine(),
    ...[...answers].map(([question, samples]) => tableOfAnswers(question, samples)),
    starts && tableOfStarts(starts),
    soak && lineOfSoak(soak),
  ]
    .filter((part) => part !== undefined)
    .join('\n\n');
}

/** Each round's ratio to the bare proxy in the same round. */
export function ratios(samples: Map<Peer, Sample[]>, peer: Peer, measure: Measure): Spread {
  const base = samples.get(bareProxy)?.map(measure) ?? [];
  return spreadOf((samples.get(peer) ?? []).map((sample, round) => measure(sample) / (base[round] ?? NaN)));
}

function tableOfAnswers(question: Question, samples: Map<Peer, Sample[]>): string {
  const rounds = [...samples.values()][0]?.length ?? 0;
  const columns: [string, Measure][] = [
    ['CPU, µs per request', ({ cpu }) => cpu],
    ['Requests per second', ({ requestsPerSecond }) => requestsPerSecond],
    ['p50, ms', ({ p50 }) => p50],
    ['p99, ms', ({ p99 }) => p99],
    ['Memory, MB', ({ memory }) => memory],
  ];
  const rows = [...samples].map(([peer, list]) => [
    peer.name,
    ...columns.map(([, measure]) => {
      const ratio = ratios(samples, peer, measure);
      return `${figure(spreadOf(list.map(measure)).median)} · ${times(ratio)}`;
    }),
    ...(question.entities > 0 ? [figure(spreadOf(list.map(({ cpu }) => cpu / question.entities)).median)] : []),
    figure(spreadOf(list.map(({ calls }) => calls)).median),
  ]);
  return [
    `### ${question.title}`,
    `Medians of ${rounds} rounds; as a multiple of the bare proxy in the same round, with the minimum and the maximum.`,
    table(
      [
        '',
        ...columns.map(([title]) => title),
        ...(question.entities > 0 ? ['CPU, µs per representation'] : []),
        'Upstream calls per request',
      ],
      rows,
    ),
  ].join('\n\n');
}

function tableOfStarts(starts: Map<Peer, Start>): string {
  const rounds = [...starts.values()][0]?.ms.length ?? 0;
  const row = (peer: Peer, { ms, memoryAtRest }: Start) => {
    const { median, least, greatest } = spreadOf(ms);
    return [peer.name, `${figure(median)} (${figure(least)}–${figure(greatest)})`, figure(memoryAtRest)];
  };
  return [
    '### Start and rest',
    `Medians of ${rounds} starts, with the minimum and the maximum.`,
    table(
      ['', 'Start to first answer, ms', 'Memory at rest, MB'],
      [...starts].map(([peer, start]) => row(peer, start)),
    ),
  ].join('\n\n');
}

function lineOfSoak({ moments, completed }: { moments: Moment[]; completed: number }): string {
  const last = moments.at(-1)?.seconds ?? 0;
  const part = (from: number, to: number) =>
    figure(
      spreadOf(
        moments.filter(({ seconds }) => seconds > from * last && seconds <= to * last).map(({ memory }) => memory),
      ).median,
    );
  return [
    '### Memory under load',
    `${completed.toLocaleString('en')} requests in ${figure(last)} seconds: reads, refusals, codes returned, and a flood of SMS for the same ` +
      `users. The product's median memory in each quarter of that time: ${part(0, 0.25)}, ${part(0.25, 0.5)}, ${part(0.5, 0.75)}, ` +
      `${part(0.75, 1)} MB.`,
  ].join('\n\n');
}

function machine(): string {
  const [cpu] = cpus();
  const versions = ['undici', 'mercurius', 'graphql-jit', 'graphql-yoga', '@graphql-hive/gateway', 'autocannon'].map(
    (name) => `${name} ${versionOf(name)}`,
  );
  return (
    `Measured on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores (${cpu?.model.trim() ?? 'unknown'}), ` +
    `${figure(totalmem() / 2 ** 30)} GiB, ${process.platform}, Node ${process.versions.node}; ${versions.join(', ')}.`
  );
}

function versionOf(name: string): string {
  const file = new URL(`../node_modules/${name}/package.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

const times = ({ median, least, greatest }: Spread) =>
  `${median.toFixed(2)}× (${least.toFixed(2)}–${greatest.toFixed(2)})`;

export function figure(value: number): string {
  return value >= 100 ? value.toFixed() : value.toFixed(value >= 10 ? 1 : 2);
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '--:'))), ...rows.map(line)].join('\n');
}
