import { ConfigError } from '@evenkeel/core-tensor';
import { nodeModules, onFile, unlessGone } from './nodeFs.ts';
import { findTextFiles, isUtf8Start, type TextFilesOptions } from './textFiles.ts';

/** ReadTextOptions — `separator`: what stands between the files of a directory or list (default one line feed). */
export type ReadTextOptions = TextFilesOptions & { separator?: string };

const CHUNK_BYTES = 1 << 22;

/**
 * readText — the text of a file, or of all text files of a directory or list one after the other.
 *
 * @param path     as for `textFiles`, or a list that it gave before: files that came later do not belong to it, and one that is
 *                 gone is an error. `extensions` does not concern a list. A byte order mark at the start of a file is dropped; line ends stay as they are.
 * @returns        up to about 500 million characters, the longest string there is; beyond that use `textPieces`.
 * @throws ConfigError  one line that names the path: nothing there, empty, a zero byte or invalid UTF-8 (with its position).
 */
export async function readText(path: string | readonly string[], options: ReadTextOptions = {}): Promise<string> {
  const pieces = [...piecesOf('readText', path, options)];
  return onFile('readText', nameOf(path), 'at most about 500 million characters', () => pieces.join(''));
}

/**
 * textPieces — the same text in pieces of about 4 MB, read when they are asked for.
 *
 * A piece ends before white space that follows another character. Encoding the pieces one by one gives the tokens of the whole
 * text with every tokenizer whose `piecewise` is true.
 */
export function textPieces(path: string | readonly string[], options: ReadTextOptions = {}): Generator<string> {
  return piecesOf('textPieces', path, options);
}

/** piecesOf — `textPieces` on behalf of `fn`, which errors name. */
export function* piecesOf(fn: string, path: string | readonly string[], { extensions, separator = '\n' }: ReadTextOptions): Generator<string> {
  let rest = '';
  let length = 0;
  for (const chunk of chunksOf(fn, path, { extensions, separator })) {
    rest += chunk;
    length += chunk.length;
    const cut = lastCut(rest);
    if (cut > 0) yield rest.slice(0, cut);
    rest = rest.slice(cut);
  }
  if (length === 0) throw new ConfigError(`${fn}: ${nameOf(path)} must hold text, got ${path.length === 0 ? 'no files' : 'an empty file'}`);
  if (rest !== '') yield rest;
}

const nameOf = (path: string | readonly string[]): string => (typeof path === 'string' ? path : `a list of ${path.length} files`);

/** A file that was found in a directory and is gone when its turn comes is passed over; one that was asked for is not. */
function* chunksOf(fn: string, path: string | readonly string[], { extensions, separator }: Required<Pick<ReadTextOptions, 'separator'>> & TextFilesOptions): Generator<string> {
  const files = typeof path === 'string' ? findTextFiles(fn, path, extensions) : path;
  const { fs } = nodeModules(fn);
  let isFirst = true;
  for (const file of files) {
    const open = (): number => onFile(fn, file, 'a readable file', () => fs.openSync(file, 'r'));
    const descriptor = typeof path !== 'string' || file === path ? open() : unlessGone(open);
    if (descriptor === undefined) continue;
    yield* decodedChunks(fn, file, descriptor, isFirst ? '' : separator);
    isFirst = false;
  }
}

/** What stands before the file, then its text; closes it, also when nobody asks for the rest. */
function* decodedChunks(fn: string, file: string, descriptor: number, before: string): Generator<string> {
  const { fs } = nodeModules(fn);
  const decoder = new TextDecoder('utf-8', { fatal: true });
  const buffer = new Uint8Array(CHUNK_BYTES);
  let offset = 0;
  try {
    yield before;
    for (;;) {
      const bytes = buffer.subarray(0, onFile(fn, file, 'a readable file', () => fs.readSync(descriptor, buffer)));
      const zero = bytes.indexOf(0);
      if (zero >= 0) throw new ConfigError(`${fn}: ${file} must be UTF-8 text, got a zero byte at ${offset + zero}. Is it a binary file?`);
      const text = decodeOr(decoder, bytes, () => {
        const at = offset + validPrefix(bytes);
        return new ConfigError(`${fn}: ${file} must be UTF-8 text, got an invalid byte near ${at}. Is it a binary file or another encoding?`);
      });
      if (bytes.length === 0) return yield text;
      offset += bytes.length;
      yield text;
    }
  } finally {
    fs.closeSync(descriptor);
  }
}

/** The next part of a text; no bytes mean its end, where a character that is cut off is an error too. */
function decodeOr(decoder: TextDecoder, bytes: Uint8Array, error: () => Error): string {
  try {
    return decoder.decode(bytes, { stream: bytes.length > 0 });
  } catch {
    throw error();
  }
}

/** How many bytes of an invalid chunk are valid, by bisection; bytes that continue a character before it count as one. */
function validPrefix(bytes: Uint8Array): number {
  let start = 0;
  while (start < 3 && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  let [low, high] = [start, bytes.length];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (isUtf8Start(bytes.subarray(start, middle))) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** Where the last white space begins that follows another character; 0 if there is none. */
function lastCut(text: string): number {
  for (let at = text.length - 1; at > 0; at--) {
    if (isSpace(text, at) && !isSpace(text, at - 1)) return at;
  }
  return 0;
}

const isSpace = (text: string, at: number): boolean => /\s/.test(text.charAt(at));
