import { readFile } from 'node:fs/promises';
import { defineConfig, type Options } from 'tsup';

/**
 * Marks module-level `const x = fusedOp(…)`, such ops in a module-level object, and the programs of kernels, as free of side effects, so that a bundler drops the fused
 * ops a page does not use, with the kernels that they register. Bundlers cannot know that of a function from another package.
 */
const pureFusedOps: NonNullable<Options['esbuildPlugins']>[number] = {
  name: 'pure-fused-ops',
  setup(build) {
    build.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replace(/^((?:export )?const \w+ = | {2}\w+: )(?=(?:fusedOp|gpuProgram|memoised|programOf|packedOp)\b)/gm, '$1/* @__PURE__ */ '),
      loader: 'ts',
    }));
  },
};

/** The one bundler configuration of every package: ESM, types and source maps from `src/index.ts`. */
export function tsupConfig(options: Options = {}) {
  return defineConfig({
    entry: ['src/index.ts'],
    format: ['esm'],
    target: 'es2023',
    dts: true,
    sourcemap: true,
    clean: true,
    treeshake: true,
    esbuildPlugins: [pureFusedOps],
    ...options,
  });
}
