import { readFileSync } from 'node:fs';
import { buildSubgraphSchema } from '@apollo/subgraph';
import { ChangeType, CriticalityLevel, diff } from '@graphql-inspector/core';
import { parse } from 'graphql';
import { expect, test } from 'vitest';

const built = (file: string) => buildSubgraphSchema(parse(readFileSync(file, 'utf8')));

test('the schema breaks no client of the released one', async () => {
  const changes = await diff(built('schema/released.graphql'), built('schema/contact-phone.graphql'));

  // All definitions of directives are federation's. No client sees them, and importing one renames it.
  const ours = changes.filter(({ type }) => type !== ChangeType.DirectiveRemoved);
  const breaking = ours.filter(({ criticality }) => criticality.level === CriticalityLevel.Breaking);
  expect(breaking.map(({ message }) => message)).toEqual([]);
});
