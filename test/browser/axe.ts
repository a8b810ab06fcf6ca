import axe from 'axe-core';
import type { Page } from 'playwright-core';

/** The serious and critical violations that axe finds on the page. */
export async function seriousViolations(page: Page): Promise<{ rule: string; targets: string[] }[]> {
  // A script element would violate the page's Content Security Policy.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate<axe.AxeResults>('axe.run()');
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => ({ rule: id, targets: nodes.map(({ target }) => target.join(' ')) }));
}
