import type * as Fs from 'node:fs';
import { ConfigError, checkInteger } from '@evenkeel/core-tensor';
import { nodeModules, onFile } from './nodeFs.ts';
import { part, type TokenSource } from './tokenSource.ts';

/** TokenFile — an open token file; `vocabSize` as it was written, 0 if unknown. */
export type TokenFile = TokenSource & { readonly vocabSize: number; close(): void };

/** WriteTokensOptions — `vocabSize`: every id must be below it; up to 65536 a token takes 2 bytes instead of 4. */
export type WriteTokensOptions = { vocabSize?: number };

/** OpenTokensOptions — `memoryBytes` (default 64 MiB): a file up to this size is read whole. */
export type OpenTokensOptions = { memoryBytes?: number };

/**
 * The file, little-endian: 8 bytes `EKTOKENS`, uint32 version 1, uint32 bytes per token (2 or 4), float64 number of tokens,
 * uint32 vocabulary size or 0, uint32 zero, then the tokens as uint16 or int32.
 */
const MAGIC = 'EKTOKENS';
const HEADER_BYTES = 32;

/**
 * writeTokens — token ids into a file, atomically: the file is there in full or not at all.
 *
 * @param path  for example `train.tokens`.
 * @param ids   all at once, or in pieces, so that a corpus larger than memory can be written.
 * @throws ConfigError  if an id is negative or not below `vocabSize`, or the file cannot be written (path and reason).
 */
export async function writeTokens(path: string, ids: Int32Array | Iterable<Int32Array>, { vocabSize = 0 }: WriteTokensOptions = {}): Promise<void> {
  saveTokens('writeTokens', path, ids, vocabSize);
}

/** saveTokens — `writeTokens` on behalf of `fn`, which errors name; returns the number of tokens. */
export function saveTokens(fn: string, path: string, ids: Int32Array | Iterable<Int32Array>, vocabSize: number): number {
  checkInteger(fn, 'vocabSize', vocabSize, 0);
  const { fs } = nodeModules(fn);
  const temporary = `${path}.tmp-${process.pid}`;
  return onFile(fn, path, 'writable', () => {
    try {
      const length = writeTemporary(fn, fs, temporary, ids instanceof Int32Array ? [ids] : ids, vocabSize);
      fs.renameSync(temporary, path);
      return length;
    } catch (error) {
      fs.rmSync(temporary, { force: true });
      throw error;
    }
  });
}

function writeTemporary(fn: string, fs: typeof Fs, file: string, pieces: Iterable<Int32Array>, vocabSize: number): number {
  const descriptor = fs.openSync(file, 'w');
  try {
    const length = writeAll(fn, fs, descriptor, pieces, vocabSize);
    fs.fsyncSync(descriptor);
    return length;
  } finally {
    fs.closeSync(descriptor);
  }
}

function writeAll(fn: string, fs: typeof Fs, descriptor: number, pieces: Iterable<Int32Array>, vocabSize: number): number {
  const tokenBytes = vocabSize > 0 && vocabSize <= 65536 ? 2 : 4;
  const limit = vocabSize > 0 ? vocabSize : 2 ** 31;
  let length = 0;
  for (const piece of pieces) {
    const stray = piece.findIndex((id) => id < 0 || id >= limit);
    if (stray >= 0) throw new ConfigError(`${fn}: ids must be in 0 … ${limit - 1}, got ${piece[stray]} at ${length + stray}`);
    const stored = tokenBytes === 2 ? Uint16Array.from(piece) : piece;
    writeFully(fs, descriptor, new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength), HEADER_BYTES + length * tokenBytes);
    length += piece.length;
  }
  const header = new DataView(new ArrayBuffer(HEADER_BYTES));
  for (let i = 0; i < MAGIC.length; i++) header.setUint8(i, MAGIC.charCodeAt(i));
  header.setUint32(8, 1, true);
  header.setUint32(12, tokenBytes, true);
  header.setFloat64(16, length, true);
  header.setUint32(24, vocabSize, true);
  writeFully(fs, descriptor, new Uint8Array(header.buffer), 0);
  return length;
}

function writeFully(fs: typeof Fs, descriptor: number, bytes: Uint8Array, position: number): void {
  for (let written = 0; written < bytes.length; ) {
    written += fs.writeSync(descriptor, bytes, written, Math.min(bytes.length - written, 1 << 28), position + written);
  }
}

/**
 * openTokens — a token file as a source of tokens.
 *
 * A small file is read whole. Of a large one each `read` fetches just its window: Node cannot map files into memory, so it is one
 * positioned read per window, and the operating system's page cache does the rest. A corpus may be larger than memory.
 *
 * @param path     written by `writeTokens`.
 * @throws ConfigError  one line that names the path: missing, not a token file, truncated, an id beyond the vocabulary.
 */
export async function openTokens(path: string, { memoryBytes = 64 * 2 ** 20 }: OpenTokensOptions = {}): Promise<TokenFile> {
  const { fs } = nodeModules('openTokens');
  const descriptor = onFile('openTokens', path, 'a token file', () => fs.openSync(path, 'r'));
  try {
    const size = onFile('openTokens', path, 'a token file', () => fs.fstatSync(descriptor).size);
    const { length, tokenBytes, vocabSize } = parseHeader(path, readAt(fs, path, descriptor, 0, Math.min(HEADER_BYTES, size)), size);
    const bytesAt = size <= memoryBytes ? wholeFile(readAt(fs, path, descriptor, 0, size)) : (begin: number, count: number) => readAt(fs, path, descriptor, begin, count);
    const source = part(length, (start, out) => {
      const bytes = bytesAt(HEADER_BYTES + start * tokenBytes, out.length * tokenBytes);
      out.set(tokenBytes === 2 ? new Uint16Array(bytes.buffer) : new Int32Array(bytes.buffer));
      const stray = vocabSize === 0 ? -1 : out.findIndex((id) => id < 0 || id >= vocabSize);
      if (stray >= 0) throw new ConfigError(`openTokens: ${path} must hold ids below ${vocabSize}, got ${out[stray]} at ${start + stray}`);
    });
    return { ...source, vocabSize, close: () => fs.closeSync(descriptor) };
  } catch (error) {
    fs.closeSync(descriptor);
    throw error;
  }
}

const wholeFile = (file: Uint8Array) => (begin: number, count: number): Uint8Array => file.slice(begin, begin + count);

function readAt(fs: typeof Fs, path: string, descriptor: number, begin: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let filled = 0; filled < count; ) {
    const got = onFile('openTokens', path, 'readable', () => fs.readSync(descriptor, bytes, filled, count - filled, begin + filled));
    if (got === 0) throw new ConfigError(`openTokens: ${path} must keep its length while it is open, got an end at byte ${begin + filled}`);
    filled += got;
  }
  return bytes;
}

function parseHeader(path: string, bytes: Uint8Array, size: number): { length: number; tokenBytes: number; vocabSize: number } {
  const isTokenFile = bytes.length === HEADER_BYTES && String.fromCharCode(...bytes.subarray(0, 8)) === MAGIC;
  if (!isTokenFile) throw new ConfigError(`openTokens: ${path} must be a token file written by writeTokens, got another file`);
  const header = new DataView(bytes.buffer);
  const [version, tokenBytes, length, vocabSize] = [header.getUint32(8, true), header.getUint32(12, true), header.getFloat64(16, true), header.getUint32(24, true)];
  if (version !== 1 || (tokenBytes !== 2 && tokenBytes !== 4)) {
    throw new ConfigError(`openTokens: ${path} must have version 1 and 2 or 4 bytes per token, got version ${version} and ${tokenBytes}`);
  }
  if (!Number.isSafeInteger(length) || length < 0 || HEADER_BYTES + length * tokenBytes !== size) {
    throw new ConfigError(`openTokens: ${path} must have ${HEADER_BYTES + length * tokenBytes} bytes for ${length} tokens, got ${size}. Is it truncated?`);
  }
  return { length, tokenBytes, vocabSize };
}
