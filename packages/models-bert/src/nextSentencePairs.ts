import { checkInteger, ConfigError, foldSeed, randomBits, type Seed } from '@evenkeel/core-tensor';

/** Special — the ids of `[CLS]` and `[SEP]`. */
export type SentenceSpecials = { readonly clsId: number; readonly sepId: number };

/** SentencePair — `[CLS] A [SEP] B [SEP]` with segments; label 0: B follows A, 1: B is from another document. */
export type SentencePair = { readonly ids: Int32Array; readonly tokenTypes: Int32Array; readonly label: 0 | 1; readonly documents: readonly [a: number, b: number] };

export type NextSentenceOptions = SentenceSpecials & {
  /** Longest pair, with its three special tokens. */
  maxLength: number;
  seed: Seed;
};

/** joinPair — `[CLS] A [SEP] B [SEP]` (or `[CLS] A [SEP]`): segment 0 up to the first `[SEP]`, 1 after it; the longer of A and B is shortened from its end. */
export function joinPair(a: ArrayLike<number>, b: ArrayLike<number> | undefined, { clsId, sepId, maxLength }: SentenceSpecials & { maxLength: number }): { ids: Int32Array; tokenTypes: Int32Array } {
  const [left, right] = [Array.from(a), b === undefined ? undefined : Array.from(b)];
  const specials = right === undefined ? 2 : 3;
  checkInteger('joinPair', 'maxLength', maxLength, specials + 1);
  while (left.length + (right?.length ?? 0) + specials > maxLength) (right !== undefined && right.length > left.length ? right : left).pop();
  const first = [clsId, ...left, sepId];
  const second = right === undefined ? [] : [...right, sepId];
  return { ids: Int32Array.from([...first, ...second]), tokenTypes: Int32Array.from([...first.map(() => 0), ...second.map(() => 1)]) };
}

/**
 * nextSentencePairs — pairs for next-sentence prediction, from documents that are lists of tokenized sentences.
 *
 * Each document is walked once: sentences are taken until they fill `maxLength`, and cut at a random one into A and B. For about half of the
 * pairs B comes from another document instead, and the sentences that B would have been are used next. Which pairs is drawn at random, but
 * as long as one kind has more the other is made, where it can be: a sentence left alone has nothing that follows.
 *
 * @throws ConfigError  if there are fewer than two documents, or one is empty.
 *
 * Source: Devlin et al. 2018, arXiv:1810.04805, appendix A.2. Departs from it: pairs are always filled (no short ones), and the end of the longer of A and B is cut.
 */
export function nextSentencePairs(documents: readonly (readonly ArrayLike<number>[])[], { seed, ...options }: NextSentenceOptions): SentencePair[] {
  if (documents.length < 2) throw new ConfigError(`nextSentencePairs: documents must be at least 2, got ${documents.length}`);
  const empty = documents.findIndex((sentences) => sentences.length === 0);
  if (empty >= 0) throw new ConfigError(`nextSentencePairs: documents must have sentences, got none in document ${empty}`);
  const pairs: SentencePair[] = [];
  const surplus = { random: 0 };
  documents.forEach((sentences, document) => {
    for (let start = 0; start < sentences.length;) {
      const chunk = nextChunk(sentences, start, options.maxLength - 3);
      const { pair, used } = makePair(documents, { document, start, chunk, surplus: surplus.random }, { seed, ...options });
      surplus.random += pair.label === 1 ? 1 : -1;
      pairs.push(pair);
      start += used;
    }
  });
  return pairs;
}

/** As many of the sentences from `start` as fill the room; at least one. */
function nextChunk(sentences: readonly ArrayLike<number>[], start: number, room: number): readonly ArrayLike<number>[] {
  let end = start;
  for (let length = 0; end < sentences.length && (end === start || length < room); end++) length += (sentences[end] as ArrayLike<number>).length;
  return sentences.slice(start, end);
}

type Chunk = { readonly document: number; readonly start: number; readonly chunk: readonly ArrayLike<number>[]; readonly surplus: number };

function makePair(documents: readonly (readonly ArrayLike<number>[])[], { document, start, chunk, surplus }: Chunk, { seed, ...options }: NextSentenceOptions): { pair: SentencePair; used: number } {
  const draw = randomBits(foldSeed(seed, document, start), 4);
  const below = (i: number, count: number): number => (draw[i] as number) % count;
  const isRandom = chunk.length === 1 || (surplus === 0 ? below(1, 2) === 1 : surplus < 0);
  const cut = chunk.length === 1 ? 1 : 1 + below(0, chunk.length - 1);
  const other = (document + 1 + below(2, documents.length - 1)) % documents.length;
  const elsewhere = documents[other] as readonly ArrayLike<number>[];
  const b = isRandom ? nextChunk(elsewhere, below(3, elsewhere.length), options.maxLength - 3) : chunk.slice(cut);
  const joined = joinPair(tokensOf(chunk.slice(0, cut)), tokensOf(b), options);
  return { pair: { ...joined, label: isRandom ? 1 : 0, documents: [document, isRandom ? other : document] }, used: isRandom ? cut : chunk.length };
}

const tokensOf = (sentences: readonly ArrayLike<number>[]): number[] => sentences.flatMap((sentence) => Array.from(sentence));
