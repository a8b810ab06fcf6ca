import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { measure } from './measure.js';
import { picture } from './picture.js';
import { questions } from './questions.js';
import { report } from './report.js';
import { circumstances, readResults, writeResults, type Results } from './results.js';
import { soak } from './soak.js';
import { measureStarts } from './start.js';
import { summary } from './summary.js';
import { trials } from './trials.js';

// Compares the product with its peers. Without arguments it measures everything; with names, only those parts. Their results replace the
// earlier ones in results.json, from which the pages and the picture are made. With `--quick` it measures briefly, and writes into `dist/`.
// Trials run only if named, and print their results. `--only` selects the cases whose name contains its value.

const { values, positionals } = parseArgs({
  options: { quick: { type: 'boolean', default: false }, only: { type: 'string', default: '' } },
  allowPositionals: true,
});
const { quick: isQuick, only } = values;
const effort = isQuick
  ? { rounds: 1, warmUpSeconds: 0, rewarmSeconds: 0, roundSeconds: 1 }
  : { rounds: 5, warmUpSeconds: 5, rewarmSeconds: 1, roundSeconds: 3 };

const home = fileURLToPath(new URL('..', import.meta.url));
const target = isQuick ? join(home, 'dist') : home;
const results: Results = isQuick ? { questions: {} } : readResults(join(home, 'results.json'));
const scratch = mkdtempSync(join(tmpdir(), 'contact-phone-bench-'));

/** Each puts its results in place of the earlier ones. */
const parts: Record<string, () => Promise<void>> = {
  ...Object.fromEntries(
    questions.map((question) => [
      question.name,
      async () => {
        const samples = await measure(question, effort, scratch);
        const peers = Object.fromEntries([...samples].map(([{ name }, list]) => [name, list]));
        results.questions[question.name] = { measured: circumstances(), peers };
      },
    ]),
  ),
  async start() {
    const starts = await (isQuick ? measureStarts(1, 0, scratch) : measureStarts(7, 30, scratch));
    const peers = Object.fromEntries([...starts].map(([{ name }, start]) => [name, start]));
    results.start = { measured: circumstances(), peers };
  },
  async soak() {
    const load = await (isQuick ? soak(4, 1, scratch) : soak(180, 5, scratch));
    results.soak = { measured: circumstances(), ...load };
  },
};

const unknown = positionals.filter((name) => !(name in parts || name in trials));
if (unknown.length > 0) {
  const known = [...Object.keys(parts), ...Object.keys(trials)];
  console.error(`Unknown: ${unknown.join(', ')}. Known: ${known.join(', ')}.`);
  process.exit(1);
}

try {
  for (const [name, trial] of Object.entries(trials)) {
    if (!positionals.includes(name)) continue;
    console.error(name);
    console.log(`### ${trial.title}\n\n${await trial.run(isQuick, only, scratch)}\n`);
  }
  for (const [name, measurePart] of Object.entries(parts)) {
    if (positionals.length > 0 && !positionals.includes(name)) continue;
    console.error(name);
    await measurePart();
    // After each part, so that an interruption loses only one.
    publish();
  }
} finally {
  rmSync(scratch, { recursive: true });
}

function publish(): void {
  writeResults(join(target, 'results.json'), results);
  // As the file has them, rounded.
  const written = readResults(join(target, 'results.json'));
  writeFileSync(join(target, 'results.md'), `${report(written)}\n`);
  writeFileSync(join(target, 'results.svg'), picture(written));
  const readme = readFileSync(join(home, 'README.md'), 'utf8');
  const between = /(?<=<!-- results -->\n).*(?=<!-- end of results -->)/s;
  writeFileSync(
    join(target, 'README.md'),
    readme.replace(between, () => `\n${summary(written)}\n\n`),
  );
}
