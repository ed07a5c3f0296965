import { div, exp, greater, log, max, mul, reshape, scalar, squeeze, sub, sum, where, type Tensor } from '@tensorflow/tfjs-core';
import type { ScoreMask } from './scores.ts';

/**
 * rowStatistics — the maximum of each row of scores, and the entropy −Σ p log p = log Σ eˣ − Σ x·eˣ / Σ eˣ of its softmax, where x is the
 * score less the maximum. A query that sees nothing has maximum −Infinity and entropy 0.
 */
export function rowStatistics(scores: Tensor, mask: ScoreMask | undefined): [rowMax: Tensor, entropy: Tensor] {
  const top = max(scores, -1, true); // b h t 1
  const shifted = sub(scores, top); // b h t s
  const weights = exp(shifted);
  const total = sum(weights, -1);
  // A hidden score is −Infinity with weight 0; their product is 0, and must be so in the gradient.
  const finite = where(greater(shifted, -3e38), shifted, scalar(0));
  const entropy = sub(log(total), div(sum(mul(weights, finite), -1), total));
  return [orWhereBlind(squeeze(top, [-1]), mask, -Infinity), orWhereBlind(entropy, mask, 0)];
}

/** `rows`, but `value` for queries that see nothing. */
function orWhereBlind(rows: Tensor, mask: ScoreMask | undefined, value: number): Tensor {
  return mask?.sees === undefined ? rows : where(greater(reshape(mask.sees, [1, 1, -1]), 0), rows, scalar(value));
}
