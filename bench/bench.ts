import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measure } from './measure.js';
import { picture } from './picture.js';
import { questions } from './questions.js';
import { report, type Results } from './report.js';
import { soak } from './soak.js';
import { measureStarts } from './start.js';
import { trials } from './trials.js';

// Compares the product with its peers. Without arguments it measures everything, in about half an hour, and writes the results into this
// folder's README. With names of questions it measures only those, and with `--quick` everything, but briefly: either way it writes into
// `dist/`. Trials run only if named, and print their results. `--only` selects the cases whose name contains its value.

const { values, positionals } = parseArgs({
  options: { quick: { type: 'boolean' }, only: { type: 'string', default: '' } },
  allowPositionals: true,
});
const names = positionals.filter((name) => !(name in trials));
const chosenTrials = Object.entries(trials).filter(([name]) => positionals.includes(name));
const isWhole = !values.quick && positionals.length === 0;
const effort = values.quick
  ? { rounds: 1, warmUpSeconds: 1, rewarmSeconds: 0, roundSeconds: 1 }
  : { rounds: 5, warmUpSeconds: 5, rewarmSeconds: 1, roundSeconds: 3 };

const unknown = names.filter((name) => !questions.some((question) => question.name === name));
if (unknown.length > 0) {
  const known = [...questions.map(({ name }) => name), ...Object.keys(trials)];
  console.error(`Unknown: ${unknown.join(', ')}. Known: ${known.join(', ')}.`);
  process.exit(1);
}

const scratch = mkdtempSync(join(tmpdir(), 'contact-phone-bench-'));
try {
  for (const [name, trial] of chosenTrials) {
    console.error(name);
    console.log(`### ${trial.title}\n\n${await trial.run(values.quick ?? false, values.only, scratch)}\n`);
  }
  if (names.length > 0 || chosenTrials.length === 0) await askQuestions();
} finally {
  rmSync(scratch, { recursive: true });
}

async function askQuestions(): Promise<void> {
  const results: Results = { answers: new Map(), starts: undefined, soak: undefined };
  for (const question of questions.filter(({ name }) => names.length === 0 || names.includes(name))) {
    console.error(question.name);
    results.answers.set(question, await measure(question, effort, scratch));
  }
  if (names.length === 0) {
    console.error('start');
    results.starts = await (values.quick ? measureStarts(1, 0, scratch) : measureStarts(7, 30, scratch));
    console.error('soak');
    results.soak = await (values.quick ? soak(4, 1, scratch) : soak(600, 10, scratch));
  }
  publish(results);
}

function publish(results: Results): void {
  const home = fileURLToPath(new URL('..', import.meta.url));
  const target = isWhole ? home : join(home, 'dist');
  const markdown = report(results);
  console.log(markdown);
  const readme = readFileSync(join(home, 'README.md'), 'utf8');
  const between = /(?<=<!-- results -->\n).*(?=<!-- end of results -->)/s;
  writeFileSync(
    join(target, 'README.md'),
    readme.replace(between, () => `\n${markdown}\n\n`),
  );
  writeFileSync(join(target, 'results.svg'), picture(results));
}
