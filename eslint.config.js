import js from '@eslint/js';
import graphql from '@graphql-eslint/eslint-plugin';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

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
  // The packages that the types of the bench are of are installed with it alone, and its build checks them.
  { files: ['*.js', '.*.js', 'bench/**'], extends: [tseslint.configs.disableTypeChecked] },
);
