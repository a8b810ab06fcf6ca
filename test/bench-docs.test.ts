import { readFileSync, readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { questions } from '../bench/questions.js';
import { report } from '../bench/report.js';
import { readResults } from '../bench/results.js';
import { summary } from '../bench/summary.js';

// Only `npm run bench -- --quick` runs the bench itself: its packages are not installed here.

const results = readResults('bench/results.json');
const readme = readFileSync('bench/README.md', 'utf8');

test('the figures on its pages are those of bench/results.json', () => {
  const [, figures] = /<!-- results -->\n(.*)<!-- end of results -->/s.exec(readme) ?? [];

  expect(figures).toBe(`\n${summary(results)}\n\n`);
  expect(readFileSync('bench/results.md', 'utf8')).toBe(`${report(results)}\n`);
  expect(Object.keys(results.questions).toSorted()).toEqual(questions.map(({ name }) => name).toSorted());
  for (const page of [figures, report(results)]) expect(page).not.toMatch(/NaN|Infinity|undefined/);
});

test('its README is one page', () => {
  expect(readme.split('\n').length).toBeLessThan(120);
});

test('every bench command in the docs names something that exists', () => {
  const trials = [...readFileSync('bench/trials.ts', 'utf8').matchAll(/^ {2}(\w+): \{$/gm)].map(([, name]) => name);
  const known = [...questions.map(({ name }) => name), 'start', 'soak', ...trials];
  const pages = ['.', 'docs', 'bench'].flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith('.md'))
      .map((name) => readFileSync(`${folder}/${name}`, 'utf8')),
  );
  const commands = pages.flatMap((page) =>
    [...page.matchAll(/npm run bench -- ([^#`\n]+)/g)].map(([, args = '']) => args),
  );
  const named = commands.flatMap((args) => args.replace(/--only \S+|--quick/g, '').split(' ')).filter(Boolean);

  expect(trials.length).toBeGreaterThan(3);
  expect(named.length).toBeGreaterThan(20);
  expect(named.filter((name) => !known.includes(name))).toEqual([]);
});
