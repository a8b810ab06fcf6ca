#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { version } from './version.js';

const options = { demo: { type: 'boolean' }, help: { type: 'boolean' }, version: { type: 'boolean' } } as const;
const [width, column] = [100, 31];

// The server and the demo are imported only to start them, in this process, so that signals reach them.
const given = readArguments();
if (given?.help) console.log(await help());
else if (given?.version) console.log(version);
else if (given?.demo) await import('./demo.js');
else if (given) await import('./main.js');

function readArguments() {
  try {
    return parseArgs({ options }).values;
  } catch {
    // It repeats no argument, since it may be a secret.
    console.error('Unknown argument: contact-phone-subgraph takes --demo, --help or --version, and nothing else.');
    process.exitCode = 2;
    return undefined;
  }
}

async function help(): Promise<string> {
  const { demoDefaults, environment } = await import('./config/environment.js');
  const inDemo: Record<string, string> = demoDefaults;
  const variables = Object.entries(environment.shape).map(([name, { def, description = '' }]) => {
    const value = 'defaultValue' in def ? String(def.defaultValue) : '';
    const defaults = [value && `default ${value}`, name in inDemo && `demo ${inDemo[name]}`].filter(Boolean);
    return row(name, description, defaults.length > 0 ? `(${defaults.join(', ')})` : '');
  });
  return `\
Usage: contact-phone-subgraph [--demo | --help | --version]

A federated GraphQL subgraph for the contact phone of a ZITADEL user. Without an option, it starts
the server, which needs ZITADEL_URL.

${row('--demo', 'Start a demo in front of an embedded ZITADEL; needs no variables')}
${row('--help', 'Show this help')}
${row('--version', 'Show the version')}

Environment variables:

${variables.join('\n')}`;
}

/** A line of the help. If it would be too long, its end goes to a second line. */
function row(name: string, meaning: string, end = ''): string {
  const line = `  ${name}`.padEnd(column) + meaning;
  if (!end) return line;
  return line.length + 1 + end.length <= width ? `${line} ${end}` : `${line}\n${' '.repeat(column)}${end}`;
}
