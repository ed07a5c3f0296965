import { ConfigError } from '@evenkeel/core-tensor';
import { DTYPES, type Dtype } from './dtypes.ts';
import { checkEntry, type Entries } from './entry.ts';
import { MAX_HEADER_BYTES, METADATA } from './header.ts';
import { checkByteOrder } from './parseSafetensors.ts';
import { isWellFormed, quoteName } from './text.ts';

/** SerializeOptions — `metadata`: a flat record of strings for the header's `__metadata__`; absent if not given. */
export type SerializeOptions = { metadata?: Readonly<Record<string, string>> };

/**
 * serializeSafetensors — tensors as the bytes of a safetensors file.
 *
 * Laid out as the reference does: widest dtype first, then by name, so that every tensor starts aligned; a compact header
 * padded with spaces to a multiple of 8 bytes.
 *
 * @param tensors  entries by name.
 * @returns        the whole file; loading it and serialising again gives the same bytes.
 * @throws ConfigError, UnsupportedError  if an entry's data does not fit its dtype and shape, or a name is not allowed.
 */
export function serializeSafetensors(tensors: Entries, { metadata }: SerializeOptions = {}): Uint8Array<ArrayBuffer> {
  const chunks = serializeChunks('serializeSafetensors', tensors, metadata);
  const file = new Uint8Array(chunks.reduce((total, chunk) => total + chunk.byteLength, 0));
  let offset = 0;
  for (const chunk of chunks) {
    file.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return file;
}

/** serializeChunks — the file as a list of pieces that share memory with the tensors: header first. */
export function serializeChunks(fn: string, tensors: Entries, metadata?: Readonly<Record<string, string>>): Uint8Array[] {
  checkByteOrder(fn);
  const members: string[] = [];
  const chunks: Uint8Array[] = [];
  if (metadata !== undefined) members.push(`"${METADATA}":${stringifyMetadata(fn, metadata)}`);
  let offset = 0;
  for (const name of orderedNames(tensors)) {
    const entry = tensors[name] as Entries[string];
    checkName(fn, name);
    const bytes = checkEntry(fn, name, entry);
    const info = { dtype: entry.dtype, shape: entry.shape, data_offsets: [offset, offset + bytes.byteLength] };
    members.push(`${JSON.stringify(name)}:${JSON.stringify(info)}`);
    chunks.push(bytes);
    offset += bytes.byteLength;
  }
  return [encodeHeader(fn, `{${members.join(',')}}`), ...chunks];
}

function orderedNames(tensors: Entries): string[] {
  const width = (name: string): number => DTYPES[tensors[name]?.dtype as Dtype]?.bits ?? 0;
  return Object.keys(tensors).sort((a, b) => width(b) - width(a) || (a < b ? -1 : 1));
}

function checkName(fn: string, name: string): void {
  if (name === METADATA) throw new ConfigError(`${fn}: a tensor's name must not be "${METADATA}", which the format keeps for itself, got it`);
  if (!isWellFormed(name)) throw new ConfigError(`${fn}: a tensor's name must be well-formed text, got ${quoteName(name)}`);
}

function stringifyMetadata(fn: string, metadata: Readonly<Record<string, string>>): string {
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string' || !isWellFormed(value) || !isWellFormed(key)) {
      throw new ConfigError(`${fn}: metadata ${quoteName(key)} must be a well-formed string, got ${quoteName(String(value))}`);
    }
  }
  return JSON.stringify(metadata);
}

function encodeHeader(fn: string, json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.byteLength / 8) * 8;
  if (length > MAX_HEADER_BYTES) throw new ConfigError(`${fn}: header must be at most ${MAX_HEADER_BYTES} bytes, got ${length}`);
  const header = new Uint8Array(8 + length).fill(0x20, 8);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return header;
}
