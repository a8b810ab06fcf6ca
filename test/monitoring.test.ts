import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { errors } from '../src/errors.js';
import { blocks, section, table } from './support/markdown.js';
import { panels, queries, rules } from './support/monitoring.js';
import { openStage } from './support/stage.js';

const page = readFileSync('docs/operations.md', 'utf8');
const expressions = [
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
  ...queries,
  ...blocks(page, 'promql').map((expr) => ['the runbook', expr] as const),
];

test('each alert says how urgent it is, what happened, and where to read on', () => {
  expect(rules.length).toBeGreaterThan(10);
  for (const { alert, labels, annotations } of rules) {
    expect(labels.severity, alert).toMatch(/^(page|ticket)$/);
    expect(Object.keys(annotations), alert).toEqual(['summary', 'description', 'runbook']);
    expect(annotations.runbook).toBe(`docs/operations.md#${alert.toLowerCase()}`);
    expect(annotations.summary).not.toMatch(/\.$/);
    expect(annotations.description).toMatch(/\.$/);
  }
});

test('each alert has a section in the runbook, in the same order', () => {
  const sections = [...section(page, 'Runbook').matchAll(/^### (ContactPhone\w+)$/gm)].map(([, alert]) => alert);

  expect(sections).toEqual(rules.map(({ alert }) => alert));
});

test('the runbook says how urgent each alert is, as the rules do', () => {
  const urgency = table(page, 'Runbook').map(([alert = '', severity]) => [alert.replace(/^\[|\].*$/g, ''), severity]);

  expect(urgency).toEqual(rules.map(({ alert, labels }) => [alert, labels.severity]));
});

test('alerts, dashboard and runbook use only metrics that are served, and codes and reasons that exist', async () => {
  await using stage = await openStage({ REDIS_URL: 'redis://127.0.0.1:1' });
  const text = await (await fetch(stage.metricsUrl)).text();
  const served = new Set(
    [...text.matchAll(/^# TYPE (\w+) (\w+)/gm)].flatMap(([, name = '', type]) =>
      type === 'histogram' ? ['_bucket', '_sum', '_count'].map((part) => name + part) : name,
    ),
  );
  const values = [
    ...['DONE', 'UNKNOWN', 'OK'],
    ...Object.entries(errors).flatMap(([code, { reasons }]) => [code, ...Object.keys(reasons)]),
  ];

  for (const [title, expr] of expressions) {
    const metrics = expr.match(/\b(?:contact_phone|nodejs|process)_\w+/g) ?? [];
    if (metrics.length === 0) expect(expr, title).toMatch(/\bup\b/);
    for (const metric of metrics) expect(served, title).toContain(metric);
    for (const [, patterns = ''] of expr.matchAll(/(?:code|reason|outcome)!?=~?"([^"]+)"/g)) {
      for (const pattern of patterns.split('|')) {
        const isKnown = values.some((value) => new RegExp(`^(?:${pattern})$`).test(value));
        expect(isKnown, `${title}: ${pattern}`).toBe(true);
      }
    }
  }
});

test('each panel of the dashboard has a question, an explanation, a unit and a data source that can be chosen', () => {
  const source = { type: 'prometheus', uid: '${datasource}' };
  const charts = panels.filter(({ type }) => type !== 'row');

  expect(charts.length).toBeGreaterThan(20);
  for (const { title, description, datasource, fieldConfig, targets = [] } of charts) {
    expect(title).toMatch(/\?$/);
    expect(description, title).toMatch(/\.$/);
    expect(fieldConfig?.defaults.unit, title).toMatch(/^(none|percentunit|s|bytes|reqps)$/);
    expect(targets.length, title).toBeGreaterThan(0);
    for (const target of targets) expect([datasource, target.datasource], title).toEqual([source, source]);
    expect(new Set(targets.map(({ refId }) => refId)).size).toBe(targets.length);
  }
});

test('the panels have ids of their own and do not overlap', () => {
  const taken = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
  );

  expect(new Set(taken).size).toBe(taken.length);
  for (const { gridPos, title } of panels) expect(gridPos.x + gridPos.w, title).toBeLessThanOrEqual(24);
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
});

test('the dashboard names only alerts that exist', () => {
  const named = JSON.stringify(panels).match(/ContactPhone\w+/g) ?? [];

  expect(named.length).toBeGreaterThan(10);
  expect(rules.map(({ alert }) => alert)).toEqual(expect.arrayContaining(named));
});
