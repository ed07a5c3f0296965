import { ConfigError } from '@evenkeel/core-tensor';
import { nodeModules, reasonOf } from './nodeFs.ts';

/** ByteSource — bytes that are read where they are needed: a file, or a Blob in a browser. */
export type ByteSource = {
  readonly byteLength: number;
  /** Reads `length` bytes from `begin` on into a new array. */
  read(begin: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
};

const READ_BYTES = 1 << 28;

/** blobSource — a Blob or File as bytes. */
export function blobSource(blob: Blob): ByteSource {
  return {
    byteLength: blob.size,
    read: async (begin, length) => new Uint8Array(await blob.slice(begin, begin + length).arrayBuffer()),
    close: () => Promise.resolve(),
  };
}

/**
 * fileSource — an open file as bytes; nothing of it is read yet.
 *
 * @throws ConfigError  naming path and reason if it cannot be opened or is no regular file.
 */
export async function fileSource(fn: string, path: string): Promise<ByteSource> {
  const { fs } = nodeModules(fn);
  const readable = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      throw new ConfigError(`${fn}: ${path} must be a readable file, got ${reasonOf(error)}`, { cause: error });
    }
  };
  const stats = await readable(() => fs.promises.stat(path));
  if (!stats.isFile()) throw new ConfigError(`${fn}: ${path} must be a file, got ${stats.isDirectory() ? 'a directory' : 'a device or pipe'}`);
  const handle = await readable(() => fs.promises.open(path, 'r'));
  const read = (begin: number, length: number): Promise<Uint8Array> => readable(async () => {
    const bytes = new Uint8Array(length);
    for (let filled = 0; filled < length; ) {
      const { bytesRead } = await handle.read(bytes, filled, Math.min(READ_BYTES, length - filled), begin + filled);
      if (bytesRead === 0) throw new Error(`a file that ended at byte ${begin + filled} of ${stats.size} while it was read`);
      filled += bytesRead;
    }
    return bytes;
  });
  return { byteLength: stats.size, read, close: () => handle.close() };
}
