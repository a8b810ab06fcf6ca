/** The text under a heading, with its subsections. */
export function section(page: string, heading: string): string {
  const lines = page.split('\n');
  const all = headings(page);
  const first = all.findIndex(({ text }) => text === heading);
  const { line: from = 0, level = 0 } = all[first] ?? {};
  if (first < 0) throw new Error(`There is no heading "${heading}".`);
  const next = all.slice(first + 1).find((other) => other.level <= level);
  return lines.slice(from + 1, next?.line).join('\n');
}

/** The rows of all tables under a heading, without the header rows, as lists of cells without backquotes. */
export function table(page: string, heading: string): string[][] {
  const lines = section(page, heading).split('\n');
  const isRule = (line = '') => /^\|[ |:-]+\|$/.test(line);
  const rows = lines.filter((line, index) => line.startsWith('|') && !isRule(line) && !isRule(lines[index + 1]));
  return rows.map((row) => {
    const cells = row.split(/(?<!\\)\|/).slice(1, -1);
    return cells.map((cell) => cell.trim().replaceAll('`', ''));
  });
}

/** The contents of all code blocks in a language. In a list, they are indented. */
export function blocks(page: string, language: string): string[] {
  const all = page.matchAll(new RegExp(`^( *)\`\`\`${language}\\n(.*?)^\\1\`\`\``, 'gms'));
  return [...all].map(([, indent = '', block = '']) => block.replaceAll(new RegExp(`^${indent}`, 'gm'), ''));
}

/** All headings. A line of a code block may look like one. */
export function headings(page: string): { line: number; level: number; text: string }[] {
  let isInBlock = false;
  return page.split('\n').flatMap((content, line) => {
    if (content.startsWith('```')) isInBlock = !isInBlock;
    const [, marks = '', text = ''] = (!isInBlock && /^(#+) (.*)$/.exec(content)) || [];
    return marks === '' ? [] : [{ line, level: marks.length, text }];
  });
}
