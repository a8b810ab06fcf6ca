import { readFileSync } from 'node:fs';
import { buildSubgraphSchema, printSubgraphSchema } from '@apollo/subgraph';
import { parse } from 'graphql';
import { expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';
import { startChild } from './support/child.js';
import { openStage } from './support/stage.js';
import { roverYaml } from './support/rover.js';

// Not part of `npm test`, since npx downloads Rover. As a dependency it breaks `npm ci`; older versions download their binary.

/** Runs Rover, and returns its output. */
async function rover(...args: string[]): Promise<string> {
  const env = { ...process.env, APOLLO_ELV2_LICENSE: 'accept', APOLLO_TELEMETRY_DISABLED: 'true' };
  await using child = startChild(['--yes', '@apollo/rover@0.41.0', '--skip-update-check', ...args], env, 'npx');
  expect([await child.exited, child.output.stderr]).toEqual([0, expect.not.stringMatching(/^error/m)]);
  return child.output.stdout;
}

/** Building and printing again removes federation's own definitions. */
const printedAgain = (sdl: string) => `${printSubgraphSchema(buildSubgraphSchema(parse(sdl)))}\n`;

const committed = readFileSync('schema/contact-phone.graphql', 'utf8');

test('Rover reads the committed schema from the running server, even with a router secret', async () => {
  const secret = 'S3CR3T-of-the-router';
  await using stage = await openStage({ INTROSPECTION: 'false', ROUTER_SECRETS: secret });

  const sdl = await rover('subgraph', 'introspect', stage.graphql, '--header', `x-router-secret: ${secret}`);

  expect(printedAgain(sdl)).toBe(committed);
});

test('Rover understands rover.yaml, which refers to the committed schema', async () => {
  const expanded = await rover('supergraph', 'config', 'expand', '--config', 'rover.yaml');

  const config = parseYaml(expanded) as typeof roverYaml;
  expect(config).toEqual(roverYaml);
  // Rover returns the path of the schema, not its contents.
  const files = Object.values(config.subgraphs).map(({ schema }) => schema.file);
  expect(files.map((file) => printedAgain(readFileSync(file, 'utf8')))).toEqual([committed]);
});
