import { mainQuestions } from './questions.js';
import { bareProxy, cpuOf, figure, medianOf, mercurius, ratios, table } from './report.js';
import type { Results, Sample } from './results.js';
import { median } from './statistics.js';

// Writes the part of README.md that holds figures.

const product = 'contact-phone-subgraph';
/** All of these answer the main questions. */
export const mainPeers = [bareProxy, product, mercurius, 'graphql-yoga'];

export const summary = (results: Results): string => `${tableOf(results)}\n\n${meaning(results)}`;

function tableOf({ questions }: Results): string {
  const rows = mainQuestions.flatMap((question) => {
    const peers = questions[question]?.peers ?? {};
    return mainPeers.map((peer, index) => {
      const samples = peers[peer] ?? [];
      return [
        index === 0 ? `\`${question}\`` : '',
        peer,
        medianOf(samples, cpuOf),
        `${ratios(peers, peer, bareProxy, cpuOf).median.toFixed(2)}×`,
        `${ratios(peers, peer, mercurius, cpuOf).median.toFixed(2)}×`,
        medianOf(samples, ({ p99 }) => p99),
        medianOf(samples, ({ memory }) => memory),
      ];
    });
  });
  return table(
    ['Question', 'Server', 'CPU, µs per request', '× bare proxy', '× mercurius', 'p99, ms', 'Memory, MB'],
    rows,
    2,
  );
}

function meaning({ questions }: Results): string {
  const samplesOf = (question: string, peer: string) => questions[question]?.peers[peer] ?? [];
  const cpu = (question: string, peer: string) => median(samplesOf(question, peer).map(cpuOf));
  const multiple = (question: string, peer: string, other: string) =>
    `${ratios(questions[question]?.peers ?? {}, peer, other, cpuOf).median.toFixed(2)} times`;
  const other = (samples: readonly Sample[], name: string) =>
    median(samples.map(({ others }) => others?.[name] ?? NaN));
  const scenario = (name: string) => multiple('send', `${product} ${name}`, product);
  const smsCost = (peer: string) => figure(cpu('send', peer) - cpu('return', peer));
  const redis = figure(other(samplesOf('send', `${product} with Redis`), 'Redis'));
  const through = (peer: string) => `Hive Gateway → ${peer}`;
  const behind = (peer: string) => other(samplesOf('gateway', through(peer)), 'subgraph');
  const total = (peer: string) => cpu('gateway', through(peer)) + behind(peer);
  return [
    `- **SEND_CODE instead of RETURN_CODE** adds ${smsCost(bareProxy)} µs to the bare proxy and ${smsCost(mercurius)} µs to mercurius, for the ` +
      `read before the SMS, and ${smsCost(product)} µs to the product, for the read and the limits on SMS.`,
    `- **Other settings** of the product: an SMS takes ${scenario('over Connect')} the CPU time over Connect, ${scenario('with Redis')} with ` +
      `Redis (which itself takes ${redis} µs), ${scenario('with 10 % of traces')} with one trace in ten, and ${scenario('with all three')} ` +
      'with all three.',
    `- **Tokens**: an SMS takes ${multiple('opaque-tokens', product, bareProxy)} the CPU time of a bare proxy if each request has a new opaque ` +
      `token, ${multiple('jwts', product, bareProxy)} with new JWTs, and ${multiple('send', product, bareProxy)} with one token for all.`,
    `- **A gateway costs more than any subgraph behind it**: Hive Gateway takes ${figure(cpu('gateway', through(product)))} µs in front of the ` +
      `product, which takes ${figure(behind(product))} µs. Both together take ${(total(product) / total(mercurius)).toFixed(2)} times as much ` +
      'as with mercurius as the subgraph.',
  ].join('\n');
}
