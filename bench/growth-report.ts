import { cpus } from 'node:os';
import type { Growth, Step } from './growth.js';
import { figure, table } from './report.js';

// Formats how cost grows as Markdown.

export function reportGrowth({ representations, returnCode, sendCode, users }: Growth): string {
  return [
    `Measured on ${new Date().toISOString().slice(0, 10)}: ${cpus().length} cores (${cpus()[0]?.model.trim() ?? 'unknown'}), ` +
      `Node ${process.versions.node}.`,
    '### Representations of `_entities`, over 32 connections',
    table(
      [
        'Representations',
        'CPU, µs per request',
        '× bare proxy',
        'CPU, µs per representation',
        'p50 alone, ms',
        'p50, ms',
        'p99, ms',
        'Memory, MB',
      ],
      representations.map((step) => {
        const { count, product } = step;
        const { cpu, alone, p50, p99, memory } = product;
        return [whole(count), figure(cpu), ratio(step), ...[cpu / count, alone, p50, p99, memory].map(figure)];
      }),
    ),
    '### Connections, RETURN_CODE',
    tableOfConnections(returnCode),
    '### Connections, SEND_CODE, each time for a different user',
    tableOfConnections(sendCode),
    '### Users that the limits remember',
    table(
      [
        'Users',
        'Held, MB',
        'Held, bytes per user',
        'Longest pause, ms',
        'SEND_CODE: CPU, µs per request',
        'p50, ms',
        'p99, ms',
        'Longest, ms',
        'Memory, MB',
      ],
      users.map(({ users: count, held, perUser, pause, load: { cpu, p50, p99, max, memory } }) => [
        whole(count),
        figure(held),
        count < 10_000 ? '' : figure(perUser),
        ...[pause, cpu, p50, p99, max, memory].map(figure),
      ]),
    ),
  ].join('\n\n');
}

const tableOfConnections = (steps: readonly Step[]) =>
  table(
    [
      'Connections',
      'Done per second',
      'Answered BUSY',
      'CPU, µs per answer',
      '× bare proxy',
      'p50, ms',
      'p99, ms',
      'Longest, ms',
      'Memory, MB',
    ],
    steps.map((step) => {
      const { perSecond, busy, cpu, p50, p99, max, memory } = step.product;
      return [
        whole(step.count),
        figure(perSecond),
        `${figure(busy * 100)} %`,
        figure(cpu),
        ratio(step),
        ...[p50, p99, max, memory].map(figure),
      ];
    }),
  );

const ratio = ({ product, bareProxy }: Step) => figure(product.cpu / bareProxy.cpu);
const whole = (value: number) => value.toLocaleString('en');
