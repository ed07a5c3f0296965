import type * as Fs from 'node:fs';
import type * as Path from 'node:path';
import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';

type Modules = { readonly fs: typeof Fs; readonly path: typeof Path };

/**
 * nodeModules — Node's file system, asked for when it is needed, so that this package also loads in a browser.
 *
 * @throws UnsupportedError  where there is none.
 */
export function nodeModules(fn: string): Modules {
  const load = globalThis.process?.getBuiltinModule;
  if (load === undefined) throw new UnsupportedError(`${fn}: needs Node's file system, got a browser. Pass the text or JSON itself.`);
  return { fs: load('node:fs'), path: load('node:path') };
}

/** onFile — runs a file operation; a failure becomes one line that names the path and the reason. */
export function onFile<T>(fn: string, path: string, expectation: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof ConfigError || error instanceof UnsupportedError) throw error;
    throw new ConfigError(`${fn}: ${path} must be ${expectation}, got ${reasonOf(error)}`, { cause: error });
  }
}

/** unlessGone — what `work` gives; undefined if the file is not there any more, because somebody removed it meanwhile. */
export function unlessGone<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    const { code } = ((error as Error).cause ?? error) as NodeJS.ErrnoException;
    if (code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Why a file operation failed, in words: `no space left on device (ENOSPC)`. */
function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words = /^[A-Z0-9_]+: ([^,\n]+)/.exec(message ?? '')?.[1];
  return words === undefined ? String(message ?? error).replace(/\s+/g, ' ').slice(0, 200) : `${words} (${code})`;
}
