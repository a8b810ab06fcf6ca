import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** The root of the repository, relative to the compiled bench. */
const root = new URL('../../', import.meta.url);
const { scripts } = JSON.parse(readFileSync(new URL('package.json', root), 'utf8')) as { scripts: { start: string } };
const [, flags = '', program] = /\bnode ((?:--\S+ )*)(\S+\.js)/.exec(scripts.start) ?? [];
if (program === undefined) throw new Error(`npm start starts no program: ${scripts.start}`);

/** What `npm start` starts. */
export const productProgram = fileURLToPath(new URL(program, root));
/** The flags that `npm start` gives to Node. All other servers get the same. */
export const nodeFlags: readonly string[] = flags.split(' ').filter(Boolean);
