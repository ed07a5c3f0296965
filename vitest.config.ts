import { existsSync, readdirSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

const conditions = ['@evenkeel/source', 'module', 'node', 'import', 'default'];

/** One project per workspace package, so that `--project norms` runs one package's tests from source. */
const projects = (folder: string) => readdirSync(folder)
  .filter((name) => existsSync(`${folder}/${name}/package.json`))
  .map((name) => ({
    resolve: { conditions },
    ssr: { resolve: { conditions, externalConditions: conditions } },
    test: {
      name,
      root: `${folder}/${name}`,
      include: ['test/**/*.test.ts'],
      setupFiles: [`${import.meta.dirname}/vitest.setup.ts`],
      expect: { requireAssertions: true }, // no test that cannot fail
      testTimeout: 60_000,
      hookTimeout: 60_000,
    },
  }));

export default defineConfig({
  test: {
    projects: [...projects('packages'), ...projects('apps'), ...projects('tools')],
    pool: 'forks',
    maxWorkers: 2,
  },
});
