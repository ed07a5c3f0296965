import js from '@eslint/js';
import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  globalIgnores(['**/dist/', '**/node_modules/', '**/generated/', '.nx/', 'runs/', 'coverage/', 'packages/wasm-kernels/**/assembly/']),
  js.configs.recommended,
  ...tseslint.configs.recommended,
  {
    files: ['**/*.ts'],
    rules: {
      '@typescript-eslint/no-explicit-any': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports', disallowTypeAnnotations: false }],
      '@typescript-eslint/consistent-type-definitions': ['error', 'type'],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'all', ignoreRestSiblings: true }],
      'no-restricted-syntax': ['error',
        { selector: 'ExportDefaultDeclaration', message: 'Named exports only.' },
        { selector: 'TSEnumDeclaration', message: 'Sources run by type stripping: no enums.' },
      ],
      'no-undef': 'off', // TypeScript knows
      'no-control-regex': 'off', // terminals
      eqeqeq: 'error',
    },
  },
  {
    files: ['packages/*/src/**/*.ts'],
    rules: {
      'no-console': 'error',
      'no-restricted-properties': ['error', { property: 'dataSync', message: 'Read back with `await t.data()`, in loops and logs only.' }],
      'no-restricted-imports': ['error', { paths: [{ name: '@tensorflow/tfjs-core', importNames: ['keep', 'disposeVariables'], message: 'Results belong to the caller: return them instead.' }] }],
    },
  },
  {
    files: ['**/*.config.ts', 'tools/config/*.ts', '**/*.d.ts'],
    rules: { 'no-restricted-syntax': 'off' },
  },
);
