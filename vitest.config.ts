import { readdirSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

const conditions = ['@evenkeel/source', 'module', 'node', 'import', 'default'];

/** One project per workspace package, so that `--project norms` runs one package's tests from source. */
const project = (folder: string) => (name: string) => ({
  resolve: { conditions },
  ssr: { resolve: { conditions, externalConditions: conditions } },
  test: {
    name,
    root: `${folder}/${name}`,
    include: ['test/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

export default defineConfig({
  test: {
    projects: [...readdirSync('packages').map(project('packages')), ...readdirSync('apps').map(project('apps'))],
    pool: 'forks',
    maxWorkers: 2,
  },
});
