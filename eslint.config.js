import js from '@eslint/js';
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
  { ignores: ['dist/'] },
  js.configs.recommended,
  tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // Resolvers and types are classes of decorated members.
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
    },
  },
  {
    files: ['src/**'],
    ignores: ['src/run.ts', 'src/main.ts', 'src/demo.ts'],
    rules: { 'no-restricted-globals': ['error', 'process'], 'no-console': 'error' },
  },
  room(['src/config.ts', 'src/errors.ts'], ours),
  room(['src/logger.ts'], except('config')),
  room(['src/mask-error.ts'], except('errors', 'logger')),
  room(['src/zitadel/**'], String.raw`^\.\./(?!config\.js$)`),
  room(['src/embedded-zitadel/**'], String.raw`^\.\./`),
  room(
    ['src/contact-phone/*.service.ts'],
    String.raw`^(type-graphql|graphql|fastify|undici)|\.(types|resolver)\.js$|^\.\./(?!errors\.js$|zitadel/)`,
  ),
  room(['src/contact-phone/*.resolver.ts'], String.raw`^\.\./(?!context\.js$)|^(undici|fastify)`),
  room(['src/contact-phone/*.types.ts'], ours),
  room(['src/context.ts'], except(String.raw`contact-phone/contact-phone\.service`, 'zitadel/zitadel-client')),
  { files: ['eslint.config.js'], extends: [tseslint.configs.disableTypeChecked] },
);
