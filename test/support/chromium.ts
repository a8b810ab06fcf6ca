import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { onTestFinished } from 'vitest';

/** Chromium from npm, which is for Linux; elsewhere the Chrome that is installed. */
async function executable(): Promise<{ executablePath: string } | { channel: string }> {
  if (process.platform !== 'linux') return { channel: 'chrome' };
  // It unpacks itself into the folder for temporary files, and would meet that of another run there.
  const folder = mkdtempSync(join(tmpdir(), 'contact-phone-chromium-'));
  onTestFinished(() => rmSync(folder, { recursive: true, maxRetries: 5 }));
  process.env['TMPDIR'] = folder;
  // What makes it bring the libraries that it needs.
  process.env['AWS_LAMBDA_JS_RUNTIME'] = 'nodejs20.x';
  const { default: packed } = await import('@sparticuz/chromium');
  const executablePath = await packed.executablePath();
  // It would look for its libraries where it was unpacked first, and for its fonts in `/tmp/fonts`: text without a font takes no room,
  // and is hidden to a test.
  process.env['LD_LIBRARY_PATH'] = join(folder, 'al2023/lib');
  const fonts = join(folder, 'fonts');
  process.env['FONTCONFIG_PATH'] = fonts;
  writeFileSync(
    join(fonts, 'fonts.conf'),
    `<fontconfig><dir>${fonts}</dir><cachedir>${fonts}/cache</cachedir></fontconfig>`,
  );
  return { executablePath };
}

/**
 * A page of a real browser that can reach these origins and no others.
 *
 * @returns also what it tried to reach beside them, and everything that it complains of
 */
export async function openPage(origins: string[]) {
  // A slow machine takes longer than the thirty seconds that Playwright grants; the test has a time-out of its own.
  const browser = await chromium.launch({ ...(await executable()), args: ['--no-sandbox'], timeout: 0 });
  const page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(0);
  const strangers: string[] = [];
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(error.message));
  await page.route('**/*', (route) => {
    const url = route.request().url();
    if (origins.includes(new URL(url).origin)) return route.continue();
    strangers.push(url);
    return route.abort();
  });
  return { page, strangers, complaints, [Symbol.asyncDispose]: () => browser.close() };
}
export type { Page };
