import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { blocks } from './support/markdown.js';

// Not part of `npm test`, since it installs packages from the registry, as a reader does.

test('the app of docs/frontend.md, copied, installed and started as the page says, is served by Vite', async () => {
  const app = mkdtempSync(join(tmpdir(), 'contact-phone-app-'));
  onTestFinished(() => rmSync(app, { recursive: true, maxRetries: 5 }));
  const [, copy = '', install = ''] = blocks(readFileSync('docs/frontend.md', 'utf8'), 'sh');
  const commands = (copy + install).replace('../phone-app', app);
  expect(commands).toMatch(/\nnpx vite\n$/);

  // A process group, since npx does not pass signals on.
  const shell = spawn('sh', ['-euc', commands], { detached: true, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(shell, 'close');
  onTestFinished(async () => {
    process.kill(-(shell.pid ?? 0), 'SIGKILL');
    await ended;
  });
  let printed = '';
  let url: string | undefined;
  for await (const chunk of shell.stdout.setEncoding('utf8')) {
    printed += stripVTControlCharacters(chunk as string);
    [, url] = /Local: +(http:\S+\/)\s/.exec(printed) ?? [];
    if (url !== undefined) break;
  }

  // Vite answers 500 if a file imports something that is not installed.
  const files = ['', 'main.tsx', 'phone-screen.tsx', 'use-contact-phone.ts', 'errors.ts'];
  const answers = await Promise.all(files.map((file) => fetch(new URL(file, url))));
  expect(answers.map(({ status }) => status)).toEqual(files.map(() => 200));
});
