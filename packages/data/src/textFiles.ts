import type * as Fs from 'node:fs';
import { ConfigError } from '@evenkeel/core-tensor';
import { nodeModules, onFile, unlessGone } from './nodeFs.ts';

/** TextFilesOptions — `extensions`: in a directory take only files whose names end in one of these, for example `['.md', '.d.ts']`. */
export type TextFilesOptions = { extensions?: readonly string[] };

const PROBE_BYTES = 8192;

/**
 * textFiles — the text files of a corpus.
 *
 * @param path     a file (taken whatever its name), or a directory, searched with everything below it except names that start
 *                 with a dot, `node_modules`, and directories of training runs (those that hold a file `run.json` and a directory
 *                 `state`): a corpus does not grow by the runs on it. Files that are removed meanwhile are passed over. Without `extensions` a file counts as text unless its first 8 KiB hold a zero byte or
 *                 invalid UTF-8.
 * @returns        paths in the order of their names, compared code unit by code unit, so that it is the same on every machine.
 * @throws ConfigError  if there is nothing at `path`, or no text file.
 */
export function textFiles(path: string, { extensions }: TextFilesOptions = {}): string[] {
  return findTextFiles('textFiles', path, extensions);
}

/** findTextFiles — `textFiles` on behalf of `fn`, which errors name. */
export function findTextFiles(fn: string, path: string, extensions?: readonly string[]): string[] {
  const { fs } = nodeModules(fn);
  const stats = onFile(fn, path, 'a text file or a directory', () => fs.statSync(path));
  if (stats.isFile()) return [path];
  if (!stats.isDirectory()) throw new ConfigError(`${fn}: ${path} must be a text file or a directory, got a device or pipe`);
  const all = filesBelow(fn, path);
  const matches = (file: string): boolean =>
    extensions === undefined ? looksLikeText(fs, file) : extensions.some((extension) => file.endsWith(extension));
  const found = all.filter((file) => unlessGone(() => onFile(fn, file, 'a readable file', () => matches(file))));
  if (found.length > 0) return found;
  const wanted = extensions === undefined ? 'text files' : `files ending in ${extensions.join(', ')}`;
  throw new ConfigError(`${fn}: ${path} must hold ${wanted}, got ${all.length === 0 ? 'no file at all' : `none among ${all.length} files`}`);
}

function filesBelow(fn: string, directory: string, isRoot = true): string[] {
  const { fs, path: paths } = nodeModules(fn);
  const entries = unlessGone(() => onFile(fn, directory, 'a readable directory', () => fs.readdirSync(directory, { withFileTypes: true }))) ?? [];
  if (!isRoot && isRunDirectory(entries)) return [];
  const visible = entries.filter(({ name }) => !name.startsWith('.') && name !== 'node_modules');
  return visible
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((entry) => {
      const file = paths.join(directory, entry.name);
      if (entry.isDirectory()) return filesBelow(fn, file, false);
      const isFile = entry.isFile() || (entry.isSymbolicLink() && fs.statSync(file, { throwIfNoEntry: false })?.isFile());
      return isFile ? [file] : [];
    });
}

const isRunDirectory = (entries: readonly Fs.Dirent[]): boolean =>
  entries.some((entry) => entry.name === 'run.json' && entry.isFile()) && entries.some((entry) => entry.name === 'state' && entry.isDirectory());

function looksLikeText(fs: typeof Fs, file: string): boolean {
  const descriptor = fs.openSync(file, 'r');
  try {
    const probe = new Uint8Array(PROBE_BYTES);
    const start = probe.subarray(0, fs.readSync(descriptor, probe));
    return !start.includes(0) && isUtf8Start(start);
  } finally {
    fs.closeSync(descriptor);
  }
}

/** isUtf8Start — whether `bytes` are UTF-8, a character cut off at the end allowed. */
export function isUtf8Start(bytes: Uint8Array): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes, { stream: true });
    return true;
  } catch {
    return false;
  }
}
