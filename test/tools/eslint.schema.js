import graphql from '@graphql-eslint/eslint-plugin';

// The rules for `schema/`. It is apart from eslint.config.js because the plugin and its parts take 40 MB.

export default [
  // The schema of the last release, and the part of this one that clients use.
  { ignores: ['schema/released.graphql', 'schema/contact-phone.client.graphql'] },
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
      // The result of a mutation is not an entity, and a user has only one contact phone.
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
      '@graphql-eslint/match-document-filename': ['error', { query: 'kebab-case', mutation: 'kebab-case' }],
    },
  },
];
