import { ConfigError, UnsupportedError, describeShape } from '@evenkeel/core-tensor';
import { byteLengthOf, isDtype, type Dtype } from './dtypes.ts';
import { emptyRecord } from './entry.ts';
import { jsonCursor, type JsonCursor } from './jsonCursor.ts';
import { quoteName } from './text.ts';

/** TensorInfo — what the header says of a tensor; `begin` and `end` count bytes from the start of the data. */
export type TensorInfo = { readonly dtype: Dtype; readonly shape: readonly number[]; readonly begin: number; readonly end: number };

/** Header — the checked header of a safetensors file. */
export type Header = { readonly tensors: ReadonlyMap<string, TensorInfo>; readonly metadata: Readonly<Record<string, string>> };

/** MAX_HEADER_BYTES — the longest header the format allows. */
export const MAX_HEADER_BYTES = 100_000_000;

/** METADATA — the header key that holds no tensor. */
export const METADATA = '__metadata__';

/**
 * readHeaderLength — the header length from the first bytes of a file.
 *
 * @param where  how an error begins: function and file.
 * @throws ConfigError  if the length is missing, above the format's limit, or more than the file holds.
 */
export function readHeaderLength(where: string, start: Uint8Array, fileBytes: number): number {
  if (start.byteLength < 8) throw new ConfigError(`${where} must start with a header length of 8 bytes, got ${fileBytes} bytes in all`);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw new ConfigError(`${where} must have a header of at most ${MAX_HEADER_BYTES} bytes, got ${length}. Is it a safetensors file?`);
  }
  if (8 + Number(length) > fileBytes) {
    throw new ConfigError(`${where} must hold its header of ${length} bytes, got ${fileBytes} bytes in all. Is it truncated?`);
  }
  return Number(length);
}

/**
 * parseHeader — reads and checks a header.
 *
 * Checked: UTF-8, JSON, each name once, known dtypes, sizes that equal shape × dtype, and that the tensors fill the data from
 * its first to its last byte without hole or overlap.
 *
 * @param bytes      the JSON, white space around it allowed.
 * @param dataBytes  how many bytes follow the header in the file.
 * @throws ConfigError, UnsupportedError  naming the tensor and the rule it breaks.
 */
export function parseHeader(where: string, bytes: Uint8Array, dataBytes: number): Header {
  const cursor = jsonCursor(`${where}: header`, decodeUtf8(where, bytes));
  const tensors = new Map<string, TensorInfo>();
  let metadata = emptyRecord<string>();
  cursor.object((name) => {
    if (name === METADATA) metadata = readMetadata(cursor);
    else tensors.set(name, readTensorInfo(where, name, cursor));
  });
  cursor.end();
  checkTiling(where, tensors, dataBytes);
  return { tensors, metadata };
}

function decodeUtf8(where: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new ConfigError(`${where}: header must be valid UTF-8, got other bytes`);
  }
}

/** readMetadata — a flat object of strings. */
function readMetadata(cursor: JsonCursor): Record<string, string> {
  const metadata = emptyRecord<string>();
  cursor.object((key) => {
    metadata[key] = cursor.string();
  });
  return metadata;
}

function readTensorInfo(where: string, name: string, cursor: JsonCursor): TensorInfo {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  cursor.object((key) => {
    if (key === 'dtype') dtype = cursor.string();
    else if (key === 'shape') shape = readIntegers(cursor);
    else if (key === 'data_offsets') offsets = readIntegers(cursor);
    else cursor.skip();
  });
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    throw new ConfigError(`${where}: ${quoteName(name)} must have dtype, shape and data_offsets, got an entry without`);
  }
  if (!isDtype(dtype)) throw new UnsupportedError(`${where}: dtype of ${quoteName(name)} must be one of the format, got ${quoteName(dtype)}`);
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || offsets.length !== 2 || begin > end) {
    throw new ConfigError(`${where}: data_offsets of ${quoteName(name)} must be [begin, end], got ${describeStart(offsets)}`);
  }
  const byteLength = byteLengthOf(dtype, shape);
  if (byteLength !== end - begin) {
    const needed = typeof byteLength === 'number' ? `${byteLength} bytes for ${dtype} ${describeStart(shape)}` : `a possible size, not ${byteLength}`;
    throw new ConfigError(`${where}: data of ${quoteName(name)} must have ${needed}, got ${end - begin} bytes`);
  }
  return { dtype, shape, begin, end };
}

function readIntegers(cursor: JsonCursor): number[] {
  const numbers: number[] = [];
  cursor.array(() => numbers.push(cursor.integer()));
  return numbers;
}

/** The first few numbers of a list that may be as long as the file. */
const describeStart = (list: readonly number[]): string => describeShape(list.length > 8 ? [...list.slice(0, 8), '…'] : list);

function checkTiling(where: string, tensors: ReadonlyMap<string, TensorInfo>, dataBytes: number): void {
  const ordered = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let filled = 0;
  for (const [name, { begin, end }] of ordered) {
    if (begin !== filled) {
      const problem = begin < filled ? 'an overlap' : 'a hole';
      throw new ConfigError(`${where}: data of ${quoteName(name)} must begin at byte ${filled}, where the previous tensor ends, got ${problem} (${begin})`);
    }
    filled = end;
  }
  if (filled === dataBytes) return;
  const hint = filled > dataBytes ? ' Is it truncated?' : '';
  throw new ConfigError(`${where} must hold ${filled} bytes of data after its header, got ${dataBytes}.${hint}`);
}
