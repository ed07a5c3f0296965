import { Tokenizer as LibraryTokenizer } from '@huggingface/tokenizers';
import { checkInteger, ConfigError } from '@evenkeel/core-tensor';
import { learnMerges } from './learnMerges.ts';
import { libraryTokenizer } from './libraryTokenizer.ts';
import { checkWellFormed, piecesIn } from './textErrors.ts';
import type { Tokenizer } from './tokenizer.ts';
import { CONTINUING, LONGEST_WORD, WORD_PIECE_CONFIG, WORD_PIECE_SPECIALS, wordPieceJson, type WordPieceStages } from './wordPieceJson.ts';

export type TrainWordPieceOptions = WordPieceStages & {
  /** Tokens in all, with the five special ones. */
  vocabSize: number;
  /** A pair must occur this often to be merged; default 2. */
  minFrequency?: number;
  /** Most different characters; of more, the most frequent are kept, and words with others are unknown. Default 1000. */
  maxAlphabet?: number;
};

/**
 * trainWordPiece — learns a WordPiece vocabulary as BERT's from a text.
 *
 * The special tokens come first, then the characters as beginnings of words and as continuations (`##c`), each in the order of code points, then what
 * merging the most frequent pairs gives, as in byte-pair encoding; a merged piece drops the second one's `##`. Pairs of equal frequency: the smaller
 * ids first. Words are cut from the text by the very stages that the tokenizer will use.
 *
 * @param text     a corpus, whole or in pieces (`textPieces`).
 * @param options  `vocabSize` is a bound: a small text may not have that many frequent pairs.
 * @returns        a tokenizer; its `json` is read by the Hugging Face libraries. A word with no pieces is `[UNK]`.
 * @throws ConfigError  if the text holds no words or is not well-formed, or `vocabSize` has no room for the characters.
 *
 * Source: Schuster & Nakajima 2012; BERT's form in Devlin et al. 2018, arXiv:1810.04805; merging by frequency as in Hugging Face's trainer.
 */
export function trainWordPiece(text: string | Iterable<string>, options: TrainWordPieceOptions): Tokenizer {
  const { vocabSize, minFrequency = 2, maxAlphabet = 1000, ...stages } = options;
  for (const [name, value] of Object.entries({ vocabSize, minFrequency, maxAlphabet })) checkInteger('trainWordPiece', name, value);
  const counts = countWords(text, stages);
  if (counts.size === 0) throw new ConfigError('trainWordPiece: text must hold words, got none');
  const alphabet = alphabetOf(counts, maxAlphabet);
  const words = [...counts].map(([word, count]) => ({ pieces: [...word].map((char, i) => (i === 0 ? char : CONTINUING + char)), count }))
    .filter(({ pieces }) => pieces.every((piece) => alphabet.has(piece)));
  const tokens: string[] = [...WORD_PIECE_SPECIALS, ...alphabet];
  if (tokens.length > vocabSize) throw new ConfigError(`trainWordPiece: vocabSize must be at least ${tokens.length}, for the special tokens and characters, got ${vocabSize}`);
  const ids = new Map(tokens.map((token, id) => [token, id]));
  learnMerges(words.map(({ pieces, count }) => ({ symbols: Int32Array.from(pieces, (piece) => ids.get(piece) as number), count })), {
    tokens, maxTokens: vocabSize, minFrequency, join: (left, right) => left + right.slice(CONTINUING.length),
  });
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return libraryTokenizer('trainWordPiece', wordPieceJson(vocab, stages), WORD_PIECE_CONFIG);
}

/** How often each word occurs, as the tokenizer's own stages cut it. */
function countWords(text: string | Iterable<string>, stages: WordPieceStages): Map<string, number> {
  const cutter = new LibraryTokenizer(wordPieceJson(Object.fromEntries(WORD_PIECE_SPECIALS.map((token, id) => [token, id])), stages), WORD_PIECE_CONFIG);
  const counts = new Map<string, number>();
  for (const piece of piecesIn(text)) {
    checkWellFormed('trainWordPiece', piece);
    const words = cutter.pre_tokenizer?.pre_tokenize(cutter.normalizer?.normalize(piece) ?? piece) ?? [];
    for (const word of words) if ([...word].length <= LONGEST_WORD) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return counts;
}

/** The characters, as beginnings and as continuations, sorted; at most `most` different ones. */
function alphabetOf(counts: ReadonlyMap<string, number>, most: number): Set<string> {
  const frequency = new Map<string, number>();
  const pieces = new Set<string>();
  for (const [word, count] of counts) {
    for (const [i, char] of [...word].entries()) {
      frequency.set(char, (frequency.get(char) ?? 0) + count);
      pieces.add(i === 0 ? char : CONTINUING + char);
    }
  }
  const byCode = (a: string, b: string): number => (a.codePointAt(0) as number) - (b.codePointAt(0) as number);
  const kept = [...frequency].sort(([a, m], [b, n]) => n - m || byCode(a, b)).slice(0, most).map(([char]) => char).sort(byCode);
  return new Set([...kept, ...kept.map((char) => CONTINUING + char)].filter((piece) => pieces.has(piece)));
}
