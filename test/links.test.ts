import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { expect, test } from 'vitest';
import { headings } from './support/markdown.js';

const read = (file: string) => readFileSync(file, 'utf8');
const pages = ['.', 'docs', 'bench', '.github', 'test/support']
  .filter((folder) => existsSync(folder))
  .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
  .filter((file) => file.endsWith('.md'));

/** Links within this repository: those of Markdown, which may be images, and those of HTML. */
function linksIn(page: string): string[] {
  const withoutCode = page.replace(/^```.*?^```/gms, '').replace(/`[^`]*`/g, '');
  const links = [...withoutCode.matchAll(/\]\(<?([^)\s>]+)|^\[[^\]]+\]: (\S+)|\b(?:href|src|srcset)="([^"]+)"/gm)];
  return links.map((link) => link.slice(1).join('')).filter((link) => !/^[a-z]+:/.test(link));
}

/** The anchors that GitHub gives to the headings of a page. Like headings are numbered. */
function anchorsIn(page: string): string[] {
  const used = new Map<string, number>();
  return headings(page).map(({ text }) => {
    const shown = text.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1');
    const anchor = shown
      .toLowerCase()
      .replace(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '')
      .replaceAll(' ', '-');
    const before = used.get(anchor) ?? 0;
    used.set(anchor, before + 1);
    return before === 0 ? anchor : `${anchor}-${before}`;
  });
}

const links = pages.flatMap((page) => linksIn(read(page)).map((link) => [page, link] as const));

test('finds links to pages and to sections', () => {
  expect(pages.length).toBeGreaterThan(5);
  expect(links.filter(([, link]) => link.includes('#')).length).toBeGreaterThan(30);
  expect(links.filter(([, link]) => !link.includes('#')).length).toBeGreaterThan(20);
});

test.for(pages)('every link in %s leads to a file and a heading that exist', (page) => {
  for (const [, link] of links.filter(([from]) => from === page)) {
    const [path = '', anchor] = decodeURI(link).split('#');
    // A path that begins with a slash begins at the root of the repository.
    const file = path === '' ? page : normalize(path.startsWith('/') ? `.${path}` : join(dirname(page), path));
    // GitHub has neither.
    expect(file).not.toMatch(/^(\.\.|dist|node_modules)(\/|$)/);
    expect(existsSync(file), `${link}: there is no ${file}`).toBe(true);
    if (anchor !== undefined) expect(anchorsIn(read(file)), link).toContain(anchor);
  }
});
