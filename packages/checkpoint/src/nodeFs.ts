import type * as Fs from 'node:fs';
import type * as Path from 'node:path';
import { UnsupportedError } from '@evenkeel/core-tensor';

type Modules = { readonly fs: typeof Fs; readonly path: typeof Path };

/**
 * nodeModules — Node's file system, asked for when it is needed, so that this package also loads in a browser.
 *
 * @throws UnsupportedError  where there is none.
 */
export function nodeModules(fn: string): Modules {
  const load = globalThis.process?.getBuiltinModule;
  if (load === undefined) throw new UnsupportedError(`${fn}: needs Node's file system, got a browser. Use parseSafetensors on the bytes.`);
  return { fs: load('node:fs'), path: load('node:path') };
}

/** reasonOf — why a file operation failed, in words: `no space left on device (ENOSPC)`. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const words = /^[A-Z0-9_]+: ([^,\n]+)/.exec(message ?? '')?.[1];
  return words === undefined ? String(message ?? error).split('\n', 1)[0] as string : `${words} (${code})`;
}
