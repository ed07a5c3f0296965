import { writeAtomically } from './atomicWriteFile.ts';
import type { Entries } from './entry.ts';
import { serializeChunks, type SerializeOptions } from './serializeSafetensors.ts';

/**
 * writeSafetensors — tensors into a file, atomically (see `atomicWriteFile`), without a second copy in memory.
 *
 * @param path     usually ends in `model.safetensors`.
 * @param tensors  entries by name.
 * @param options  `metadata` is added to `{ format: 'pt' }`, without which older versions of transformers refuse a file.
 * @throws ConfigError, UnsupportedError  if an entry is inconsistent (nothing is written) or the file cannot be written.
 */
export async function writeSafetensors(path: string, tensors: Entries, { metadata }: SerializeOptions = {}): Promise<void> {
  const chunks = serializeChunks('writeSafetensors', tensors, { format: 'pt', ...metadata });
  await writeAtomically('writeSafetensors', path, chunks);
}
