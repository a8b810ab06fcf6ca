import js from '@eslint/js';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['**/dist/'] },
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
  // The packages that the types of the bench are of are installed with it alone, and its build checks them.
  { files: ['**/*.js', 'bench/**'], extends: [tseslint.configs.disableTypeChecked] },
);
