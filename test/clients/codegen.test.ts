import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { preset } from '@graphql-codegen/client-preset';
import { codegen } from '@graphql-codegen/core';
import { buildSchema, parse } from 'graphql';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { parse as parseYaml } from 'yaml';

// graphql-codegen's client preset, with the configuration that frontends may copy.

interface Graphqlrc {
  schema: string;
  documents: string;
  extensions: { codegen: { generates: { 'gql/': { preset: string; config: Record<string, unknown> } } } };
}
const { schema, documents, extensions } = parseYaml(readFileSync('.graphqlrc.yml', 'utf8')) as Graphqlrc;
const { config, ...others } = extensions.codegen.generates['gql/'];

/** Generates `gql/` in the folder of a frontend. */
async function generate(changes: Record<string, unknown> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'contact-phone-codegen-'));
  const sdl = readFileSync(schema, 'utf8');
  const examples = dirname(documents);
  const files = await preset.buildGeneratesSection({
    baseOutputDir: 'gql/',
    schema: parse(sdl),
    schemaAst: buildSchema(sdl),
    documents: readdirSync(examples).map((name) => {
      const location = join(examples, name);
      const rawSDL = readFileSync(location, 'utf8');
      return { location, rawSDL, document: parse(rawSDL) };
    }),
    config: { ...config, ...changes },
    presetConfig: {},
    plugins: [],
    pluginMap: {},
  });
  await mkdir(join(folder, 'gql'));
  for (const file of files) await writeFile(join(folder, file.filename), await codegen(file));
  await symlink(resolve('test/clients/node_modules'), join(folder, 'node_modules'));
  return {
    /** What does not compile, with the options of Vite's template, in `gql/` and in a file beside it. */
    async check(source: string) {
      const path = join(folder, 'screen.ts');
      await writeFile(path, source);
      const program = ts.createProgram([path, join(folder, 'gql/index.ts')], {
        target: ts.ScriptTarget.ES2023,
        module: ts.ModuleKind.ESNext,
        moduleResolution: ts.ModuleResolutionKind.Bundler,
        types: [],
        skipLibCheck: true,
        noEmit: true,
        strict: true,
        noUnusedLocals: true,
        noUnusedParameters: true,
        verbatimModuleSyntax: true,
        erasableSyntaxOnly: true,
      });
      return ts
        .getPreEmitDiagnostics(program)
        .map(({ file, start, length = 0 }) => file?.text.slice(start, (start ?? 0) + length));
    },
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}

/** What a frontend relies on. `Same` is true only for the same type, and not for `any` or `unknown`. */
const screen = `
  import type { ApolloClient } from '@apollo/client';
  import type { ResultOf, VariablesOf } from '@graphql-typed-document-node/core';
  import {
    ContactPhoneDocument, RemoveContactPhoneDocument, ResendContactPhoneCodeDocument, VerifyContactPhoneDocument,
  } from './gql/graphql';

  type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
  const check = <_Is extends true>(..._documents: object[]) => {};

  type User = NonNullable<ResultOf<typeof ContactPhoneDocument>['contactPhoneUser']>;
  type Phone = NonNullable<User['contactPhone']>;
  type Resent = NonNullable<ResultOf<typeof ResendContactPhoneCodeDocument>['resendContactPhoneCode']>;
  type Verify = VariablesOf<typeof VerifyContactPhoneDocument>;
  check<Same<User['id'], string>>(ContactPhoneDocument);
  check<Same<Phone['number'], string>>();
  check<Same<Phone['resendAvailableAt'], string | null>>();
  check<Same<Resent['verificationCode'], string | null>>(ResendContactPhoneCodeDocument);
  check<Same<Resent['details']['changeDate'], string>>();
  check<Same<Verify, { userId: string; verificationCode: string }>>(VerifyContactPhoneDocument);

  export const remove = (client: ApolloClient, userId: string) =>
    client.mutate({
      mutation: RemoveContactPhoneDocument,
      variables: { userId },
      optimisticResponse: {
        removeContactPhone: {
          __typename: 'RemoveContactPhoneResult',
          user: { __typename: 'User', id: userId, contactPhone: null },
        },
      },
    });
`;

test('generates types that compile, with a string for each scalar', async () => {
  expect(others).toEqual({ preset: 'client' });
  await using frontend = await generate();

  expect(await frontend.check(screen)).toEqual([]);
});

test('without the scalars, generates nothing, or types that are unknown', async () => {
  await expect(generate({ scalars: {} })).rejects.toThrow(/Unknown scalar type (DateTime|PhoneNumber)/);

  await using frontend = await generate({ scalars: {}, strictScalars: false });
  expect(await frontend.check(screen)).toEqual([
    "Same<Phone['number'], string>",
    "Same<Phone['resendAvailableAt'], string | null>",
    "Same<Resent['details']['changeDate'], string>",
    'Same<Verify, { userId: string; verificationCode: string }>',
  ]);
});
