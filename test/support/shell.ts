import { execFileSync } from 'node:child_process';
import { post, type GraphQLAnswer } from './stage.js';

/** All commands in a text that call curl, each with its continuation lines. */
export const curls = (text: string): string[] => text.match(/^curl (?:.*\\\n)*.*$/gm) ?? [];

/** Runs commands in `sh`, with a substitute for curl that sends the request to this origin. So it also works without curl. */
export function runShell(commands: string, origin: string): Promise<GraphQLAnswer<object>> {
  const given = execFileSync('sh', ['-euc', `curl() { printf '%s\\0' "$@"; }\n${commands}`], { encoding: 'utf8' });
  const [url = '', ...options] = given.split('\0');
  const valuesOf = (option: string) => options.filter((_, index) => options[index - 1] === option);
  const headers = valuesOf('-H').map((header) => {
    const [, name = '', value = ''] = /^([\w-]+): (.+)$/.exec(header) ?? [];
    return [name.toLowerCase(), value];
  });
  return post(
    origin + new URL(url).pathname,
    valuesOf('-d').join('&'),
    Object.fromEntries(headers) as Record<string, string>,
  );
}
