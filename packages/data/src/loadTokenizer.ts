import { ConfigError } from '@evenkeel/core-tensor';
import { bpeTokenizerFromJson, bpeTokenizerJson, isBpeTokenizer } from './bpeTokenizer.ts';
import { charTokenizerFromJson, isCharTokenizer } from './charTokenizer.ts';
import { checkTokenizerJson, describeValue, isRecord } from './checkTokenizerJson.ts';
import { libraryTokenizer } from './libraryTokenizer.ts';
import { nodeModules, onFile } from './nodeFs.ts';
import type { Tokenizer } from './tokenizer.ts';
import { WORD_PIECE_CONFIG, WORD_PIECE_SPECIALS, wordPieceJson } from './wordPieceJson.ts';

const MAX_JSON_BYTES = 64 * 2 ** 20;
const DEEPEST = 32;

/**
 * tokenizerFromJson — a tokenizer from the parsed content of a Hugging Face `tokenizer.json`.
 *
 * Character and byte-level BPE tokenizers run on code of our own, which gives the same ids as `@huggingface/tokenizers` about ten
 * times as fast; every other kind runs on that library.
 *
 * @param json    the parsed file; kept, so leave it unchanged.
 * @param config  the parsed `tokenizer_config.json`, if there is one.
 * @throws ConfigError, UnsupportedError  naming the part of the file that is wrong or unknown.
 */
export function tokenizerFromJson(json: unknown, config: Readonly<Record<string, unknown>> = {}): Tokenizer {
  return fromJson('tokenizerFromJson: json', json, config);
}

/**
 * loadTokenizer — a tokenizer from disk.
 *
 * @param source  a `tokenizer.json`; a directory that holds one, GPT-2's older `vocab.json` and `merges.txt` or BERT's `vocab.txt`; or the parsed JSON.
 * @returns       as `tokenizerFromJson`; a `tokenizer_config.json` beside the file is read too.
 * @throws ConfigError, UnsupportedError  one line that names the path and what is wrong.
 */
export async function loadTokenizer(source: string | object): Promise<Tokenizer> {
  if (typeof source !== 'string') return fromJson('loadTokenizer: json', source, {});
  const { fs, path: paths } = nodeModules('loadTokenizer');
  const isDirectory = onFile('loadTokenizer', source, 'a tokenizer.json or a directory', () => fs.statSync(source).isDirectory());
  const directory = isDirectory ? source : paths.dirname(source);
  const file = isDirectory ? paths.join(source, 'tokenizer.json') : source;
  const configFile = paths.join(directory, 'tokenizer_config.json');
  const config = fs.existsSync(configFile) ? readJson(configFile) : {};
  if (!isRecord(config)) throw new ConfigError(`loadTokenizer: ${configFile} must be a JSON object, got ${describeValue(config)}`);
  const [vocabFile, listFile] = [paths.join(directory, 'vocab.json'), paths.join(directory, 'vocab.txt')];
  const isOld = isDirectory && !fs.existsSync(file) && fs.existsSync(vocabFile);
  if (isDirectory && !fs.existsSync(file) && !isOld && fs.existsSync(listFile)) return fromJson(`loadTokenizer: ${listFile}`, readVocabList(listFile, config), { ...WORD_PIECE_CONFIG, ...config });
  return isOld ? fromJson(`loadTokenizer: ${vocabFile}`, readVocabAndMerges(vocabFile), config) : fromJson(`loadTokenizer: ${file}`, readJson(file), config);
}

function fromJson(where: string, value: unknown, config: Readonly<Record<string, unknown>>): Tokenizer {
  const json = checkTokenizerJson(where, value);
  if (isCharTokenizer(json)) return charTokenizerFromJson(json);
  return isBpeTokenizer(json) ? bpeTokenizerFromJson(json) : libraryTokenizer(where, json, config);
}

/** GPT-2's older files: the vocabulary, and one merge a line below a line that begins with `#version`. */
function readVocabAndMerges(vocabFile: string): object {
  const { path: paths } = nodeModules('loadTokenizer');
  const vocab = readJson(vocabFile);
  if (!isRecord(vocab)) throw new ConfigError(`loadTokenizer: ${vocabFile} must be an object of tokens, got ${describeValue(vocab)}`);
  const lines = readLimited(paths.join(paths.dirname(vocabFile), 'merges.txt')).split(/\r?\n/);
  const end = vocab['<|endoftext|>'];
  const added = typeof end === 'number' ? [{ id: end, content: '<|endoftext|>', special: true, normalized: true }] : [];
  return bpeTokenizerJson(vocab as Record<string, number>, lines.filter((line, i) => line !== '' && !(i === 0 && line.startsWith('#version'))), added);
}

/** BERT's older file: one token a line, its number the id. */
function readVocabList(listFile: string, config: Readonly<Record<string, unknown>>): object {
  const tokens = readLimited(listFile).split(/\r?\n/);
  if (tokens.at(-1) === '') tokens.pop();
  const missing = WORD_PIECE_SPECIALS.find((token) => !tokens.includes(token));
  if (missing !== undefined) throw new ConfigError(`loadTokenizer: ${listFile} must hold ${WORD_PIECE_SPECIALS.join(', ')}, got none called ${missing}`);
  return wordPieceJson(Object.fromEntries(tokens.map((token, id) => [token, id])), { lowercase: config['do_lower_case'] !== false });
}

function readJson(file: string): unknown {
  const text = readLimited(file);
  if (depthOf(text) > DEEPEST) throw new ConfigError(`loadTokenizer: ${file} must be nested at most ${DEEPEST} deep, got more`);
  return onFile('loadTokenizer', file, 'JSON', () => JSON.parse(text) as unknown);
}

function readLimited(file: string): string {
  const { fs } = nodeModules('loadTokenizer');
  return onFile('loadTokenizer', file, 'a readable file', () => {
    const stats = fs.statSync(file);
    const { size } = stats;
    // Others may have no end, as /dev/zero, or wait for a writer, as a named pipe.
    if (!stats.isFile()) throw new ConfigError(`loadTokenizer: ${file} must be a file, got ${stats.isDirectory() ? 'a directory' : 'a device or pipe'}`);
    if (size > MAX_JSON_BYTES) throw new ConfigError(`loadTokenizer: ${file} must have at most ${MAX_JSON_BYTES} bytes, got ${size}`);
    return fs.readFileSync(file, 'utf8');
  });
}

/** How deep the brackets of a JSON text are nested, found without building anything. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const char = text.charCodeAt(i);
    if (char === QUOTE) quoted = !quoted;
    else if (quoted && char === BACKSLASH) i++;
    else if (!quoted && OPENING.includes(char)) deepest = Math.max(deepest, ++depth);
    else if (!quoted && CLOSING.includes(char)) depth--;
  }
  return deepest;
}

const codes = (chars: string): number[] => Array.from(chars, (char) => char.charCodeAt(0));
const [QUOTE, BACKSLASH] = codes('"\\');
const [OPENING, CLOSING] = [codes('[{'), codes(']}')];
