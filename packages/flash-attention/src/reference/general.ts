import { div, exp, greater, log, max, mul, reshape, scalar, squeeze, sub, sum, where, type Tensor } from '@tensorflow/tfjs-core';
import { attentionMask } from '../mask.ts';
import type { GeneralAttrs, GeneralInputs } from '../options.ts';
import { dropWeights } from './attention.ts';
import { blockwiseMask } from './blockwiseMask.ts';
import { attentionScores, attentionWeights, mixValues, rowLse, scoreMask, type ScoreMask } from './scores.ts';

/** referenceGeneral — `referenceAttention` with `softcap` and `blockMask`: [out, lse]. */
export function referenceGeneral(inputs: GeneralInputs, attrs: GeneralAttrs): Tensor[] {
  const mask = maskOf(inputs, attrs);
  return outAndLse(inputs, attrs, attentionScores(inputs, attrs, mask), mask);
}

/** referenceStats — [out, lse, rowMax, entropy], the last three `b h t`: what a kernel for `evenkeel/attentionGeneral` returns. */
export function referenceStats(inputs: GeneralInputs, attrs: GeneralAttrs): Tensor[] {
  const mask = maskOf(inputs, attrs);
  const scores = attentionScores(inputs, attrs, mask); // b h t s
  return [...outAndLse(inputs, attrs, scores, mask), ...statistics(scores, mask)];
}

function maskOf({ q, k, blockMask }: GeneralInputs, attrs: GeneralAttrs): ScoreMask | undefined {
  const sizes = { seqLen: q.shape[1] as number, kvLen: k.shape[1] as number };
  const mask = attentionMask(sizes.seqLen, sizes.kvLen, attrs);
  return blockMask === undefined ? scoreMask(mask) : blockwiseMask(blockMask, mask, { ...sizes, ...attrs });
}

function outAndLse({ v }: GeneralInputs, attrs: GeneralAttrs, scores: Tensor, mask: ScoreMask | undefined): Tensor[] {
  return [mixValues(dropWeights(attentionWeights(scores, mask), attrs), v), rowLse(scores, mask)];
}

/** The maximum of each row of scores, and the entropy −Σ p log p = log Σ e^x − Σ x·e^x / Σ e^x of its softmax, where x is the score less the maximum. */
function statistics(scores: Tensor, mask: ScoreMask | undefined): [rowMax: Tensor, entropy: Tensor] {
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
