import { checkInteger, ShapeError } from '@evenkeel/core-tensor';

export type BestSpanOptions = {
  /** The tokens among which the answer is: from `from` up to but not including `to`. Default all. */
  from?: number;
  to?: number;
  /** Longest answer, in tokens; default 30. */
  maxLength?: number;
};

/**
 * bestSpan — the answer that `spanHead`'s logits of one sequence say: the start and end, start ≤ end, whose logits have the largest sum.
 *
 * @param starts  one logit per token, as numbers; @param ends  likewise.
 * @returns       the first and the last token of the answer, and the sum.
 * @throws ShapeError  if there are not as many ends as starts, or no token is left.
 */
export function bestSpan(starts: ArrayLike<number>, ends: ArrayLike<number>, { from = 0, to = starts.length, maxLength = 30 }: BestSpanOptions = {}): { start: number; end: number; score: number } {
  checkInteger('bestSpan', 'maxLength', maxLength);
  if (ends.length !== starts.length) throw new ShapeError(`bestSpan: ends must be as many as the ${starts.length} starts, got ${ends.length}`);
  if (!(from >= 0 && from < to && to <= starts.length)) throw new ShapeError(`bestSpan: from and to must leave tokens of the ${starts.length}, got ${from} and ${to}`);
  let best = { start: from, end: from, score: -Infinity };
  for (let start = from; start < to; start++) {
    for (let end = start; end < Math.min(to, start + maxLength); end++) {
      const score = (starts[start] as number) + (ends[end] as number);
      if (score > best.score) best = { start, end, score };
    }
  }
  return best;
}
