import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** DEFAULT_CORPUS — how the default text is called on screen. */
export const DEFAULT_CORPUS = "TypeScript's library declarations";

/**
 * defaultCorpus — real text that every installation has: the declaration files that TypeScript describes JavaScript and the
 * browser with, about 3 MB. Those of web workers are left out, since they repeat the browser's and would leak into validation.
 */
export function defaultCorpus(): string {
  const lib = join(dirname(createRequire(import.meta.url).resolve('typescript/package.json')), 'lib');
  const files = readdirSync(lib).filter((name) => /^lib\..*\.d\.ts$/.test(name) && !name.includes('webworker')).sort();
  return files.map((name) => readFileSync(join(lib, name), 'utf8').replaceAll('\r\n', '\n')).join('\n');
}
