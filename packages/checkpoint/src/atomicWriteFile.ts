import type * as Fs from 'node:fs';
import { ConfigError } from '@evenkeel/core-tensor';
import { nodeModules, reasonOf } from './nodeFs.ts';

/** FileContent — text (written as UTF-8), bytes, or bytes in pieces that are written one after the other. */
export type FileContent = string | Uint8Array | readonly Uint8Array[];

const WRITE_BYTES = 1 << 26;

/**
 * atomicWriteFile — writes a file so that at any moment, a crash or power cut included, `path` holds the old or the new
 * content in full.
 *
 * Writes `path.tmp-<pid>-<n>` beside it, flushes it to the disk, renames it over `path` and flushes the directory. If that fails
 * the temporary file is removed and `path` is as before. Temporary files of processes that were killed are removed too.
 *
 * @param path     the file; where it is a symbolic link, the file it points to is replaced.
 * @param content  what it shall hold.
 * @throws ConfigError       naming path and reason (no space left on device, permission denied …), with the system's error as `cause`.
 * @throws UnsupportedError  outside Node.
 */
export async function atomicWriteFile(path: string, content: FileContent): Promise<void> {
  await writeAtomically('atomicWriteFile', path, content);
}

/** writeAtomically — `atomicWriteFile` on behalf of `fn`, which errors name. */
export async function writeAtomically(fn: string, path: string, content: FileContent): Promise<void> {
  const { fs, path: paths } = nodeModules(fn);
  let temporary: string | undefined;
  try {
    const target = await fs.promises.realpath(path).catch(() => path);
    await removeAbandoned(fs, paths.dirname(target), paths.basename(target));
    const { file, handle } = await openTemporary(fs, target);
    temporary = file;
    await writeAndClose(handle, content);
    await fs.promises.rename(temporary, target);
    await flushDirectory(fs, paths.dirname(target));
  } catch (error) {
    if (temporary !== undefined) await fs.promises.rm(temporary, { force: true }).catch(() => undefined);
    throw new ConfigError(`${fn}: ${path} must be writable, got ${reasonOf(error)}`, { cause: error });
  }
}

async function openTemporary(fs: typeof Fs, target: string): Promise<{ file: string; handle: Fs.promises.FileHandle }> {
  for (let attempt = 0; ; attempt++) {
    const file = `${target}.tmp-${process.pid}-${attempt}`;
    try {
      return { file, handle: await fs.promises.open(file, 'wx') };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error; // another write of this process is under way
    }
  }
}

async function writeAndClose(handle: Fs.promises.FileHandle, content: FileContent): Promise<void> {
  try {
    const chunks = typeof content === 'string' ? [new TextEncoder().encode(content)] : content instanceof Uint8Array ? [content] : content;
    for (const chunk of chunks) {
      for (let start = 0; start < chunk.byteLength; ) {
        const { bytesWritten } = await handle.write(chunk, start, Math.min(WRITE_BYTES, chunk.byteLength - start));
        start += bytesWritten;
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A rename survives a power cut once its directory is on the disk. Some systems cannot flush one: there it is left to them. */
async function flushDirectory(fs: typeof Fs, directory: string): Promise<void> {
  const handle = await fs.promises.open(directory, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

/** Removes temporary files of `name` whose process no longer lives. */
async function removeAbandoned(fs: typeof Fs, directory: string, name: string): Promise<void> {
  for (const file of await fs.promises.readdir(directory)) {
    const pid = file.startsWith(`${name}.tmp-`) ? /^\d+(?=-\d+$)/.exec(file.slice(name.length + 5))?.[0] : undefined;
    if (pid !== undefined && !isAlive(Number(pid))) await fs.promises.rm(`${directory}/${file}`, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
