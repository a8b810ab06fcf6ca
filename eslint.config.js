import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['**/dist/'] },
  {
    files: ['**/*.{js,ts,tsx}'],
    extends: [js.configs.recommended, tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      // Resolvers and types are classes of decorated members.
      '@typescript-eslint/no-extraneous-class': ['error', { allowWithDecorator: true }],
      // These classes describe plain objects, and are never instantiated.
      '@typescript-eslint/no-unsafe-class-instance-assignment': 'off',
    },
  },
  {
    files: ['src/**'],
    ignores: ['src/process.ts', 'src/main.ts', 'src/demo.ts', 'src/cli.ts', 'src/health-check.ts'],
    rules: {
      'no-restricted-globals': ['error', 'process'],
      'no-console': 'error',
      'no-restricted-syntax': [
        'error',
        {
          selector: 'ImportDeclaration[source.value="zod"] > ImportSpecifier',
          message: 'import * as z: this would put all of zod into the bundle.',
        },
      ],
    },
  },
  { files: ['deploy/**'], languageOptions: { globals: { console: 'readonly', process: 'readonly', URL: 'readonly' } } },
  // bench/ installs its own packages, which may be missing here. Its own build checks its types.
  { files: ['**/*.js', 'bench/**'], extends: [tseslint.configs.disableTypeChecked] },
);
