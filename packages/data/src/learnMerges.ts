import { pairKey } from './bpeEncoder.ts';
import { heap } from './heap.ts';

/** Merge — the ids of two adjacent tokens and of the token they become. */
export type Merge = { readonly left: number; readonly right: number; readonly id: number };

/**
 * LearnOptions — `tokens`: the alphabet, extended in place; `maxTokens`: stop there; `minFrequency`: rarer pairs are left; `join`: the token that two
 * become (default: one after the other).
 */
export type LearnOptions = { readonly tokens: string[]; readonly maxTokens: number; readonly minFrequency: number; readonly join?: (left: string, right: string) => string };

/** A word of the corpus as token ids: the first `length` of `symbols`. `count`: how often it occurs. */
type Word = { readonly symbols: Int32Array; length: number; readonly count: number };

type Pair = { readonly left: number; readonly right: number; count: number; words: Word[] };

/**
 * learnMerges — the merges of a byte-pair encoding: again and again the most frequent adjacent pair becomes a token.
 *
 * Pairs of equal frequency: the smaller left id first, then the smaller right id, as in Hugging Face tokenizers. Counts are kept
 * up to date from the words that change, and the most frequent pair stands on top of a heap whose stale entries are
 * corrected when they come up, so that a merge costs what it changes and not a pass over the corpus.
 *
 * @param words  symbols (ids into `tokens`) and frequency of every distinct word.
 * @returns      merges in the order they were made; `tokens` has grown by the new ones.
 *
 * Source: Sennrich et al. 2016, arXiv:1508.07909, algorithm 1.
 */
export function learnMerges(words: Iterable<{ symbols: Int32Array; count: number }>, { tokens, maxTokens, minFrequency, join = (left, right) => left + right }: LearnOptions): Merge[] {
  const pairs = countPairs(words);
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const candidates = heap(isBefore);
  for (const pair of pairs.values()) candidates.push({ pair, count: pair.count });
  const merges: Merge[] = [];
  while (tokens.length < maxTokens) {
    const top = candidates.pop();
    if (top === undefined) break;
    const { pair, count } = top;
    if (count !== pair.count) {
      if (pair.count > 0) candidates.push({ pair, count: pair.count });
      continue;
    }
    if (count < minFrequency) break;
    const token = join(tokens[pair.left] as string, tokens[pair.right] as string);
    const id = ids.get(token) ?? tokens.push(token) - 1; // two merges may spell the same token
    ids.set(token, id);
    merges.push({ left: pair.left, right: pair.right, id });
    for (const grown of mergeEverywhere(pairs, pair, id)) candidates.push({ pair: grown, count: grown.count });
  }
  return merges;
}

function countPairs(words: Iterable<{ symbols: Int32Array; count: number }>): Map<number, Pair> {
  const pairs = new Map<number, Pair>();
  for (const { symbols, count } of words) {
    const word: Word = { symbols: symbols.slice(), length: symbols.length, count };
    for (let i = 0; i + 1 < word.length; i++) addTo(pairs, symbols[i] as number, symbols[i + 1] as number, word);
  }
  return pairs;
}

function addTo(pairs: Map<number, Pair>, left: number, right: number, word: Word): Pair {
  const key = pairKey(left, right);
  const pair = pairs.get(key) ?? { left, right, count: 0, words: [] };
  pairs.set(key, pair);
  pair.count += word.count;
  if (pair.words.at(-1) !== word) pair.words.push(word);
  return pair;
}

/** Replaces `pair` by `id` in every word that has it; returns the pairs that became more frequent. */
function mergeEverywhere(pairs: Map<number, Pair>, pair: Pair, id: number): Set<Pair> {
  const grown = new Set<Pair>();
  const { words } = pair;
  pair.words = [];
  for (const word of words) mergeInWord(pairs, pair, id, word, grown);
  pair.count = 0;
  pairs.delete(pairKey(pair.left, pair.right));
  return grown;
}

function mergeInWord(pairs: Map<number, Pair>, { left, right }: Pair, id: number, word: Word, grown: Set<Pair>): void {
  const { symbols, length, count } = word;
  const lose = (a: number, b: number): void => {
    const pair = pairs.get(pairKey(a, b));
    if (pair !== undefined) pair.count -= count;
  };
  let kept = 0;
  for (let i = 0; i < length; i++) {
    const symbol = symbols[i] as number;
    if (symbol !== left || i + 1 >= length || symbols[i + 1] !== right) {
      symbols[kept++] = symbol;
      continue;
    }
    if (kept > 0) {
      lose(symbols[kept - 1] as number, left);
      grown.add(addTo(pairs, symbols[kept - 1] as number, id, word));
    }
    if (i + 2 < length) {
      lose(right, symbols[i + 2] as number);
      grown.add(addTo(pairs, id, symbols[i + 2] as number, word));
    }
    symbols[kept++] = id;
    i++;
  }
  word.length = kept;
}

type Candidate = { readonly pair: Pair; readonly count: number };

/** Whether `a` is merged before `b`. */
const isBefore = (a: Candidate, b: Candidate): boolean =>
  a.count !== b.count ? a.count > b.count : a.pair.left !== b.pair.left ? a.pair.left < b.pair.left : a.pair.right < b.pair.right;
