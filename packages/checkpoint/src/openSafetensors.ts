import { ConfigError } from '@evenkeel/core-tensor';
import { blobSource, fileSource, type ByteSource } from './byteSource.ts';
import { viewAs, type Dtype } from './dtypes.ts';
import { emptyRecord, type SafetensorsEntry } from './entry.ts';
import { parseHeader, readHeaderLength, type Header, type TensorInfo } from './header.ts';
import { checkByteOrder, type Safetensors } from './parseSafetensors.ts';
import { quoteName } from './text.ts';

/** SafetensorsFile — an open checkpoint: its header is checked and in memory, its tensors are still in the file. */
export type SafetensorsFile = {
  readonly names: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  /** Dtype, shape and size of a tensor. Throws ConfigError if there is none of that name. */
  info(name: string): { readonly dtype: Dtype; readonly shape: readonly number[]; readonly byteLength: number };
  /** Reads one tensor. */
  read(name: string): Promise<SafetensorsEntry>;
  close(): Promise<void>;
};

/**
 * openSafetensors — opens a safetensors file and reads its header; tensors are read one by one.
 *
 * The header is compared with the size of the file before anything is allocated for it, so a lying header costs nothing.
 *
 * @param source  a path, or a Blob (a file somebody picked in a browser).
 * @throws ConfigError, UnsupportedError  if the file cannot be read or breaks a rule of the format.
 */
export async function openSafetensors(source: string | Blob): Promise<SafetensorsFile> {
  return openNamed('openSafetensors', source);
}

/**
 * readSafetensors — reads a whole safetensors file.
 *
 * @param source  a path, or a Blob.
 * @returns       tensors by name, each with a buffer of its own, and the metadata.
 * @throws ConfigError, UnsupportedError  as `openSafetensors`.
 */
export async function readSafetensors(source: string | Blob): Promise<Safetensors> {
  const file = await openNamed('readSafetensors', source);
  try {
    return { tensors: await readAll(file), metadata: file.metadata };
  } finally {
    await file.close();
  }
}

/** openNamed — `openSafetensors` on behalf of `fn`, which errors name. */
export async function openNamed(fn: string, source: string | Blob): Promise<SafetensorsFile> {
  checkByteOrder(fn);
  const where = `${fn}: ${typeof source === 'string' ? source : 'file'}`;
  const bytes = typeof source === 'string' ? await fileSource(fn, source) : blobSource(source);
  try {
    const headerLength = readHeaderLength(where, await bytes.read(0, Math.min(8, bytes.byteLength)), bytes.byteLength);
    const dataStart = 8 + headerLength;
    const header = parseHeader(where, await bytes.read(8, headerLength), bytes.byteLength - dataStart);
    return openedFile(where, header, bytes, dataStart);
  } catch (error) {
    await bytes.close();
    throw error;
  }
}

function openedFile(where: string, { tensors, metadata }: Header, bytes: ByteSource, dataStart: number): SafetensorsFile {
  const find = (name: string): TensorInfo => {
    const info = tensors.get(name);
    if (info === undefined) throw new ConfigError(`${where} must hold a tensor ${quoteName(name)}, got none of that name`);
    return info;
  };
  return {
    names: [...tensors.keys()],
    metadata,
    info: (name) => {
      const { dtype, shape, begin, end } = find(name);
      return { dtype, shape, byteLength: end - begin };
    },
    read: async (name) => {
      const { dtype, shape, begin, end } = find(name);
      return { dtype, shape, data: viewAs(dtype, await bytes.read(dataStart + begin, end - begin)) };
    },
    close: () => bytes.close(),
  };
}

/** readAll — every tensor of an open file, one after the other. */
export async function readAll(file: SafetensorsFile): Promise<Record<string, SafetensorsEntry>> {
  const tensors = emptyRecord<SafetensorsEntry>();
  for (const name of file.names) tensors[name] = await file.read(name);
  return tensors;
}
