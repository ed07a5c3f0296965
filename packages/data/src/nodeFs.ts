import type * as Crypto from 'node:crypto';
import type * as Fs from 'node:fs';
import type * as Os from 'node:os';
import type * as Path from 'node:path';
import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';

type Modules = { readonly crypto: typeof Crypto; readonly fs: typeof Fs; readonly os: typeof Os; readonly path: typeof Path };

/**
 * nodeModules — Node's file system and hashes, asked for when it is needed, so that this package also loads in a browser.
 *
 * @throws UnsupportedError  where there is none.
 */
export function nodeModules(fn: string): Modules {
  const load = globalThis.process?.getBuiltinModule;
  if (load === undefined) throw new UnsupportedError(`${fn}: needs Node's file system, got a browser. Pass the text or JSON itself.`);
  return { crypto: load('node:crypto'), fs: load('node:fs'), os: load('node:os'), path: load('node:path') };
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

/** checkIsFile — throws ConfigError where a directory stands. */
export function checkIsFile(fn: string, path: string): void {
  if (nodeModules(fn).fs.statSync(path, { throwIfNoEntry: false })?.isDirectory() === true) throw new ConfigError(`${fn}: ${path} must be a file, got a directory`);
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

/** writeAtomically — a file in full or not at all, with the folders above it. */
export function writeAtomically(fn: string, path: string, bytes: Uint8Array): void {
  const { fs, path: paths } = nodeModules(fn);
  const temporary = `${path}.tmp-${process.pid}-${Math.random().toString(36).slice(2)}`; // two calls of one process may write the same file
  onFile(fn, path, 'writable', () => {
    try {
      fs.mkdirSync(paths.dirname(path), { recursive: true });
      fs.writeFileSync(temporary, bytes, { flush: true });
      fs.renameSync(temporary, path);
    } catch (error) {
      fs.rmSync(temporary, { force: true });
      throw error;
    }
  });
}

/** reasonOf — why a file operation failed, in words: `no space left on device (ENOSPC)`. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words = /^[A-Z0-9_]+: ([^,\n]+)/.exec(message ?? '')?.[1];
  return words === undefined ? String(message ?? error).replace(/\s+/g, ' ').slice(0, 200) : `${words} (${code})`;
}
