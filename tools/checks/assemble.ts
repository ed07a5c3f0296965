/**
 * Brings the WebAssembly binaries up to date before a program that runs from source: silent, and a few milliseconds, when
 * they are current. Speaks on stderr only, so that `--json` output stays clean.
 */
import { assemble } from '../../packages/wasm-kernels/scripts/assemble.ts';

const started = performance.now();
try {
  const onCompile = (): void => void process.stderr.write('Compiling the WebAssembly kernels (first run only) …\n');
  if (await assemble({ onCompile })) process.stderr.write(`WebAssembly kernels compiled in ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
} catch (error) {
  process.stderr.write(`assemble: could not compile the WebAssembly kernels: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
