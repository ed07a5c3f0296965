import { ConfigError, checkInteger } from '@evenkeel/core-tensor';
import { bpeTokenizerFromJson, bpeTokenizerJson } from './bpeTokenizer.ts';
import { BYTE_CHARS } from './byteAlphabet.ts';
import { learnMerges } from './learnMerges.ts';
import { addedTokenSplitter, forEachWord } from './preTokens.ts';
import { checkWellFormed, piecesIn, quoteText } from './textErrors.ts';
import type { AddedToken, Tokenizer } from './tokenizer.ts';

/** TrainBpeOptions — `vocabSize`: tokens in all; `minFrequency`: a pair must occur this often; `specialTokens`: such as `<|endoftext|>`. */
export type TrainBpeOptions = { vocabSize: number; minFrequency?: number; specialTokens?: readonly string[] };

/** Ids of GPT-2's order: the visible bytes, then the others, as the byte alphabet sorts. */
const ALPHABET = [...BYTE_CHARS].sort();

/**
 * trainBpe — learns a byte-level BPE as GPT-2's from a text.
 *
 * Ids 0 … 255 are the bytes in GPT-2's order, then come the merges, then the special tokens. The same text gives the same
 * tokenizer, the one that Hugging Face's trainer learns with the same settings.
 *
 * @param text     a corpus, whole or in pieces (`textPieces`).
 * @param options  `vocabSize` is a bound: a small text may not have that many frequent pairs; see `vocabSize` of the result.
 *                 `minFrequency` defaults to 2, `specialTokens` to none.
 * @returns        a tokenizer that encodes any text and gives it back exactly.
 * @throws ConfigError  if the text is empty or not well-formed, or `vocabSize` has no room for 256 bytes and the special tokens.
 *
 * Source: Sennrich et al. 2016, arXiv:1508.07909; bytes and words as in GPT-2 (Radford et al. 2019, §2.2).
 */
export function trainBpe(text: string | Iterable<string>, { vocabSize, minFrequency = 2, specialTokens = [] }: TrainBpeOptions): Tokenizer {
  checkInteger('trainBpe', 'vocabSize', vocabSize, 256 + specialTokens.length);
  checkInteger('trainBpe', 'minFrequency', minFrequency);
  const special = new Set(specialTokens);
  if (special.has('') || special.size !== specialTokens.length) {
    throw new ConfigError(`trainBpe: specialTokens must be distinct and not empty, got ${specialTokens.map(quoteText).join(', ')}`);
  }
  const counts = countWords(text, specialTokens);
  if (counts.size === 0) throw new ConfigError('trainBpe: text must hold words, got an empty text');
  const tokens = [...ALPHABET];
  const merges = learnMerges(symbolsOf(counts), { tokens, maxTokens: vocabSize - special.size, minFrequency });
  const taken = specialTokens.find((content) => tokens.includes(content));
  if (taken !== undefined) throw new ConfigError(`trainBpe: specialTokens must not be tokens of the text, got ${quoteText(taken)}`);
  const added = [...special].map((content, i): AddedToken =>
    ({ id: tokens.length + i, content, single_word: false, lstrip: false, rstrip: false, normalized: false, special: true }));
  const vocab = Object.fromEntries([...tokens, ...special].map((token, id) => [token, id]));
  return bpeTokenizerFromJson(bpeTokenizerJson(vocab, merges.map(({ left, right }) => `${tokens[left]} ${tokens[right]}`), added));
}

function countWords(text: string | Iterable<string>, specialTokens: readonly string[]): Map<string, number> {
  const split = addedTokenSplitter(specialTokens.map((content, id) => ({ content, id })));
  const counts = new Map<string, number>();
  for (const piece of piecesIn(text)) {
    checkWellFormed('trainBpe', piece);
    for (const section of split(piece)) {
      if (section.id === undefined) forEachWord(section.text, (word) => counts.set(word, (counts.get(word) ?? 0) + 1));
    }
  }
  return counts;
}

function* symbolsOf(counts: ReadonlyMap<string, number>): Generator<{ symbols: Int32Array; count: number }> {
  const encoder = new TextEncoder();
  const idOfByte = Int32Array.from(BYTE_CHARS, (char) => ALPHABET.indexOf(char));
  for (const [word, count] of counts) {
    yield { symbols: Int32Array.from(encoder.encode(word), (byte) => idOfByte[byte] as number), count };
  }
}
