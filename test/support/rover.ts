import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

export const roverYaml = parse(readFileSync('rover.yaml', 'utf8')) as {
  federation_version: string;
  subgraphs: Record<string, { routing_url: string; schema: { file: string } }>;
};
