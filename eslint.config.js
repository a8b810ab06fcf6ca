import js from '@eslint/js';
import graphql from '@graphql-eslint/eslint-plugin';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

/** Who may import whom: what a room may not reach, by import path. Types of the configuration are everyone's. */
const room = (files, forbidden) => ({
  files,
  rules: {
    '@typescript-eslint/no-restricted-imports': [
      'error',
      {
        patterns: [
          { regex: forbidden, message: 'This room of the house may not reach there.', allowTypeImports: false },
        ],
      },
    ],
  },
});

const ours = String.raw`^\.\.?/`;
const except = (...names) => `${ours}(?!(${names.join('|')})\\.js$)`;

export default defineConfig(
  { ignores: ['**/dist/', 'schema/released.graphql'] },
  {
    files: ['**/*.{js,ts}'],
    extends: [js.configs.recommended, tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // Resolvers and types are classes of decorated members.
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      // They describe the shape of plain objects; nobody makes an instance.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
    },
  },
  {
    files: ['src/**'],
    ignores: ['src/process.ts', 'src/main.ts', 'src/demo.ts'],
    rules: { 'no-restricted-globals': ['error', 'process'], 'no-console': 'error' },
  },
  room(['src/variables.ts', 'src/errors.ts'], ours),
  room(['src/config.ts'], except('variables')),
  room(['src/logger.ts'], except('config')),
  room(['src/unsafe-integers.ts'], ours),
  room(['src/process.ts'], except('config', 'logger')),
  room(
    ['src/graphql/**'],
    String.raw`^\.\./(?!(config|context|errors|logger|unsafe-integers|contact-phone/[\w.-]+|http/graphql|telemetry/record-operations)\.js$)`,
  ),
  room(
    ['src/context.ts'],
    except(
      'config',
      String.raw`contact-phone/contact-phone\.service`,
      'guard/guard',
      'telemetry/request-record',
      'zitadel/zitadel-(client|connection)',
    ),
  ),
  room(['src/http/**'], String.raw`^\.\./(?!(config|errors)\.js$)`),
  room(['src/{zitadel,guard}/**'], String.raw`^\.\./(?!config\.js$)`),
  room(
    ['src/telemetry/**'],
    String.raw`^\.\./(?!(config|context|errors|logger|http/refusal|guard/checkpoint|zitadel/[\w-]+)\.js$)`,
  ),
  room(['src/embedded-zitadel/**'], String.raw`^\.\./`),
  room(['src/contact-phone/*.types.ts'], ours),
  room(['src/contact-phone/*.resolver.ts'], String.raw`^\.\./|^(undici|fastify)`),
  room(
    ['src/contact-phone/{*.service,*.errors,input,sms-countries,user-loader}.ts'],
    String.raw`^\.\./(?!errors\.js$|unsafe-integers\.js$|zitadel/|guard/|telemetry/request-record\.js$)|\.(types|resolver)\.js$|^(type-graphql|graphql|undici|fastify)`,
  ),
  // The packages that the types of the bench are of are installed with it alone, and its build checks them.
  {
    files: ['schema/**/*.graphql'],
    plugins: { '@graphql-eslint': graphql },
    languageOptions: {
      parser: graphql.parser,
      parserOptions: {
        graphQLConfig: { schema: 'schema/contact-phone.graphql', documents: 'schema/operations/*.graphql' },
      },
    },
  },
  {
    files: ['schema/contact-phone.graphql'],
    rules: {
      ...graphql.configs['flat/schema-recommended'].rules,
      // The result of a mutation is no entity, and a user has one contact phone.
      '@graphql-eslint/strict-id-in-types': 'off',
      '@graphql-eslint/require-nullable-result-in-root': 'error',
      '@graphql-eslint/require-description': [
        'error',
        {
          types: true,
          FieldDefinition: true,
          InputValueDefinition: true,
          EnumValueDefinition: true,
          // Other subgraphs have them too, and composition keeps only one description of each.
          ignoredSelectors: [
            '[type=ObjectTypeDefinition][name.value=/^(Query|Mutation|User)$/]',
            '[type=FieldDefinition][name.value=id][parent.name.value=User]',
          ],
        },
      ],
    },
  },
  {
    files: ['schema/operations/*.graphql'],
    rules: {
      ...graphql.configs['flat/operations-recommended'].rules,
      // The client knows the id of the user that it asks for.
      '@graphql-eslint/require-selections': 'off',
      '@graphql-eslint/match-document-filename': ['error', { query: 'kebab-case', mutation: 'kebab-case' }],
    },
  },
  { files: ['eslint.config.js', 'bench/**'], extends: [tseslint.configs.disableTypeChecked] },
);
