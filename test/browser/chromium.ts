import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { onTestFinished } from 'vitest';

/** Read only once, because TMPDIR changes below. */
const temporary = tmpdir();

/** Chromium from npm on Linux; elsewhere the installed Chrome. */
async function executable(): Promise<{ executablePath: string } | { channel: string }> {
  if (process.platform !== 'linux') return { channel: 'chrome' };
  // It unpacks itself into the temporary folder, where it would conflict with another run.
  const folder = mkdtempSync(join(temporary, 'contact-phone-chromium-'));
  onTestFinished(() => rmSync(folder, { recursive: true, maxRetries: 5 }));
  process.env['TMPDIR'] = folder;
  // Makes it unpack the libraries that it needs.
  process.env['AWS_LAMBDA_JS_RUNTIME'] = 'nodejs20.x';
  const { default: packed } = await import('@sparticuz/chromium');
  const executablePath = await packed.executablePath();
  // Otherwise it would look for its libraries where it was first unpacked, and for fonts in `/tmp/fonts`. Text without a font has no
  // size, so it counts as hidden.
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
 * A page in a real browser that can reach only these origins.
 *
 * @returns also the other URLs that it tried to reach, and all errors that it reported
 */
export async function openPage(origins: string[]) {
  // Slow machines take longer than Playwright's thirty seconds. The test has a timeout of its own.
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
