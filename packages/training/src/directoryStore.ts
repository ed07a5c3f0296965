import type * as Fs from 'node:fs';
import type * as Path from 'node:path';
import { atomicWriteFile, openSafetensors, writeSafetensors } from '@evenkeel/checkpoint';
import { ConfigError, UnsupportedError } from '@evenkeel/core-tensor';
import { lockDirectory } from './directoryLock.ts';
import type { RunStore } from './runStore.ts';

/** Where a run in progress leaves the number of its process. */
const LOCK_PATH = 'state/lock';

type Modules = { readonly fs: typeof Fs.promises; readonly path: typeof Path };

/**
 * directoryStore — a run's files in a directory, which is made on the first write.
 *
 * Whole files are written beside the old one, flushed to the disk and renamed over it. While a run is in progress `state/lock`
 * keeps other processes of this machine out; one that was left by a dead process does not.
 *
 * @throws UnsupportedError  outside Node.
 */
export function directoryStore(directory: string): RunStore {
  const { fs, path: paths } = nodeModules();
  const at = (path: string): string => paths.join(directory, path);
  const prepared = async (path: string): Promise<string> => {
    const file = at(path);
    await explained(file, fs.mkdir(paths.dirname(file), { recursive: true }));
    return file;
  };
  return Object.freeze({
    list: async (folder: string) => (await unlessMissing(at(folder), fs.readdir(at(folder)))) ?? [],
    remove: async (path: string) => explained(at(path), fs.rm(at(path), { force: true })),
    readText: async (path: string) => unlessMissing(at(path), fs.readFile(at(path), 'utf8')),
    writeText: async (path: string, text: string) => atomicWriteFile(await prepared(path), text),
    appendText: async (path: string, text: string) => {
      const file = await prepared(path);
      await explained(file, fs.appendFile(file, text));
    },
    writeTensors: async (path, tensors, metadata) => writeSafetensors(await prepared(path), tensors, { metadata }),
    openTensors: async (path: string) => openSafetensors(at(path)),
    lock: async () => {
      const file = await prepared(LOCK_PATH);
      return explained(file, fs.realpath(paths.dirname(file)).then((folder) => lockDirectory(fs, paths.join(folder, paths.basename(file)))));
    },
  } satisfies RunStore);
}

/** Asked for when needed, so that this package also loads in a browser. */
function nodeModules(): Modules {
  const load = globalThis.process?.getBuiltinModule;
  if (load === undefined) throw new UnsupportedError('directoryStore: needs the file system of Node, got a browser. Use memoryStore or a store of your own.');
  return { fs: load('node:fs').promises, path: load('node:path') };
}

const codeOf = (error: unknown): string | undefined => (error as NodeJS.ErrnoException).code;

async function unlessMissing<T>(file: string, work: Promise<T>): Promise<T | undefined> {
  return explained(file, work.catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }));
}

async function explained<T>(file: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    // Node says "ENOSPC: no space left on device, write": the reason stands before the comma.
    const reason = (error as Error).message.replace(/^[A-Z0-9_]+: ([^,\n]+).*$/s, `$1 (${codeOf(error)})`);
    throw new ConfigError(`directoryStore: ${file} must be usable, got ${reason}`, { cause: error });
  }
}
