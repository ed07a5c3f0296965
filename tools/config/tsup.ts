import { defineConfig, type Options } from 'tsup';

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
    ...options,
  });
}
