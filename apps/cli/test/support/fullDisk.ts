import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { RunOptions } from './evenkeel.ts';

/** FullDisk — a directory that takes so many bytes and no more, until `grow`; for the present test. */
export type FullDisk = { readonly path: string; readonly options: () => RunOptions; grow(): void };

const quietly = { stdio: 'ignore' } as const;

/** fullDisk — a small file system of its own where this process may mount one, otherwise writes that fail as a full disk's do. */
export function fullDisk(path: string, bytes: number): FullDisk {
  mkdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes}`, 'tmpfs', path], quietly);
  } catch {
    return failingWrites(path, bytes);
  }
  onTestFinished(() => void execFileSync('umount', [path], quietly));
  return { path, options: () => ({}), grow: () => void execFileSync('mount', ['-o', 'remount,size=64m', path], quietly) };
}

function failingWrites(path: string, bytes: number): FullDisk {
  let limit = bytes;
  const imports = [fileURLToPath(new URL('limitedDisk.ts', import.meta.url))];
  return { path, options: () => ({ imports, env: { TEST_DISK_PATH: path, TEST_DISK_BYTES: String(limit) } }), grow: () => { limit = 2 ** 26; } };
}
