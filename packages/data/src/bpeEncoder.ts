import { heap } from './heap.ts';

/** MergeTable — for two adjacent token ids: the rank of their merge and the id it gives. */
export type MergeTable = ReadonlyMap<number, { readonly rank: number; readonly id: number }>;

/** pairKey — two token ids (below 2^24) as one number. */
export const pairKey = (left: number, right: number): number => left * 2 ** 24 + right;

const POSITIONS = 2 ** 31;
const REMOVED = -1;

/**
 * mergeWord — byte-pair encoding of one word: while any adjacent pair has a merge, the pair with the lowest rank is merged,
 * the leftmost first. Takes n log n steps for n symbols, so that a "word" of a million letters is no trap.
 *
 * @param symbols  token ids of the single bytes; overwritten.
 * @returns        the ids that are left, a view into `symbols`.
 */
export function mergeWord(symbols: Int32Array, merges: MergeTable): Int32Array {
  const { length } = symbols;
  const next = Int32Array.from(symbols, (_, i) => i + 1);
  const previous = Int32Array.from(symbols, (_, i) => i - 1);
  const queue = heap<number>((a, b) => a < b);
  const mergeAt = (i: number): { rank: number; id: number } | undefined => {
    const right = next[i] as number;
    return symbols[i] === REMOVED || right >= length ? undefined : merges.get(pairKey(symbols[i] as number, symbols[right] as number));
  };
  const offer = (i: number): void => {
    const merge = mergeAt(i);
    if (merge !== undefined) queue.push(merge.rank * POSITIONS + i);
  };
  for (let i = 0; i < length - 1; i++) offer(i);
  for (let top = queue.pop(); top !== undefined; top = queue.pop()) {
    const i = top % POSITIONS;
    const merge = mergeAt(i);
    if (merge?.rank !== Math.floor(top / POSITIONS)) continue; // a neighbour was merged meanwhile
    const right = next[i] as number;
    const after = next[right] as number;
    symbols[i] = merge.id;
    symbols[right] = REMOVED;
    next[i] = after;
    if (after < length) previous[after] = i;
    const before = previous[i] as number;
    if (before >= 0) offer(before);
    offer(i);
  }
  let kept = 0;
  for (let i = 0; i < length; i = next[i] as number) symbols[kept++] = symbols[i] as number;
  return symbols.subarray(0, kept);
}
