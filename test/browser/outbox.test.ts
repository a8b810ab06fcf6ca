import { expect, test } from 'vitest';
import { users } from '../../src/embedded-zitadel/population.js';
import { startChild } from '../support/child.js';
import { resend, run } from '../support/stage.js';
import { seriousViolations } from './axe.js';
import { openPage } from './chromium.js';

/** For people to look at; ignored by git. */
const artefacts = 'test/artefacts';

const phoneless = users.phoneless.userId;

async function startDemo(port = '0') {
  const env = { PORT: port, SMS_LIMITS: 'off', ZITADEL_API: process.env['TEST_ZITADEL_API'] };
  const demo = startChild(['dist/demo.js'], env);
  const [, origin = ''] = await demo.printed(/The subgraph is at (http:\/\/127\.0\.0\.1:\d+)\/graphql/);
  return { demo, origin, [Symbol.asyncDispose]: () => demo[Symbol.asyncDispose]() };
}

test('an open outbox shows each SMS at once, keeps a selection, and copies its code', async () => {
  await using running = await startDemo();
  const { demo, origin } = running;
  await using browser = await openPage([origin]);
  const { page, strangers, complaints } = browser;
  const selection = () => page.evaluate('String(getSelection())');
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write'], { origin });

  await page.goto(`${origin}/outbox`);
  await page.getByText('Nothing yet').waitFor();
  await page.getByText('New SMS appear here at once').waitFor();
  expect(await page.title()).toBe('Outbox (0)');
  await page.screenshot({ path: `${artefacts}/outbox-empty.png` });
  expect(await seriousViolations(page)).toEqual([]);

  await resend(origin);
  const [, first = ''] = await demo.printed(/SMS to \+41791234567: (\w+) /);
  await page.locator('code', { hasText: first }).click({ clickCount: 2 });
  expect(await selection()).toBe(first);

  await run(`${origin}/graphql`, 'set-contact-phone', { userId: phoneless, number: '+41795550103' });
  const [, second = ''] = await demo.printed(/SMS to \+41795550103: (\w+) /);
  await page.locator('code', { hasText: second }).waitFor();
  expect(await page.locator('code').allTextContents()).toEqual([second, first]);
  expect(await page.locator('li', { hasText: second }).textContent()).toContain(`User ${phoneless}`);
  expect(await page.getByText('Nothing yet').isVisible()).toBe(false);
  expect(await page.title()).toBe('Outbox (2)');
  expect(await selection()).toBe(first);
  const shown = page.locator('time').first();
  const sentAt = (await shown.getAttribute('datetime')) ?? '';
  expect(new Date(sentAt).toISOString()).toBe(sentAt);
  expect(await shown.textContent()).toBe(
    await page.evaluate(`new Date(${JSON.stringify(sentAt)}).toLocaleTimeString()`),
  );

  await page.getByRole('button', { name: `Copy ${second}` }).click();
  await page.getByRole('status').filter({ hasText: 'Copied' }).waitFor({ state: 'attached' });
  expect(await page.evaluate('navigator.clipboard.readText()')).toBe(second);
  expect(await selection()).toBe(first);

  for (const colorScheme of ['light', 'dark'] as const) {
    for (const width of [1440, 390]) {
      await page.setViewportSize({ width, height: 844 });
      await page.emulateMedia({ colorScheme });
      expect(await seriousViolations(page)).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      await page.screenshot({ path: `${artefacts}/outbox-${colorScheme}-${width}.png` });
    }
  }
  await page.getByRole('link', { name: 'Playground' }).click();
  await page.waitForURL(`${origin}/playground/`);
  expect(strangers).toEqual([]);
  expect(complaints).toEqual([]);
});

test('a page without a clipboard copies a code too', async () => {
  await using running = await startDemo();
  const { demo, origin } = running;
  await using browser = await openPage([origin]);
  const { page, complaints } = browser;
  await page.context().grantPermissions(['clipboard-read'], { origin });
  await page.addInitScript('Clipboard.prototype.writeText = () => Promise.reject(new Error("refused"));');
  await resend(origin);
  const [, code = ''] = await demo.printed(/SMS to \+41791234567: (\w+) /);

  await page.goto(`${origin}/outbox`);
  await page.getByRole('button', { name: `Copy ${code}` }).click();

  await page.getByRole('status').filter({ hasText: 'Copied' }).waitFor({ state: 'attached' });
  expect(await page.evaluate('navigator.clipboard.readText()')).toBe(code);
  expect(complaints).toEqual([]);
});

test('an open outbox notices that the demo was restarted, and shows only what was sent since', async () => {
  await using before = await startDemo();
  const { origin } = before;
  await using browser = await openPage([origin]);
  const { page } = browser;
  await resend(origin);
  await page.goto(`${origin}/outbox`);
  await page.locator('code').waitFor();
  await page.getByText('New SMS appear here at once').waitFor();

  before.demo.kill('SIGTERM');
  expect(await before.demo.exited).toBe(0);
  await page.getByText('The demo does not answer').waitFor();
  await page.screenshot({ path: `${artefacts}/outbox-lost.png` });
  expect(await page.locator('code').count()).toBe(1);
  await using after = await startDemo(new URL(origin).port);
  await page.getByText('earlier SMS are lost').waitFor();
  await page.screenshot({ path: `${artefacts}/outbox-restarted.png` });
  expect(await page.locator('code').count()).toBe(0);

  await resend(origin);
  const [, code = ''] = await after.demo.printed(/SMS to \+41791234567: (\w+) /);
  await page.locator('code', { hasText: code }).waitFor();
  expect(await page.locator('code').allTextContents()).toEqual([code]);
});
