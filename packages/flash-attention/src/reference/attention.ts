import { mul, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { attentionMask } from '../mask.ts';
import type { AttentionAttrs, AttentionInputs } from '../options.ts';
import { attentionScores, attentionWeights, keepFactors, mixValues, rowLse, scoreMask, type ScoreMask } from './scores.ts';
import { rowStatistics } from './statistics.ts';

/** DropWeights — weights `b h t s` after dropout, which acts once the softmax has been normalised, so that lse does not depend on it. */
export type DropWeights = (weights: Tensor, attrs: AttentionAttrs) => Tensor;

/**
 * referenceAttention — dropout(softmax(scale · q kᵀ − slope · distance + bias + mask)) v with the scores written out: the truth that
 * kernels are held to, differentiable to every order.
 *
 * @returns  `out: b t h d` and `lse: b h t`; a query that sees no key has out 0 and lse +Infinity.
 */
export function referenceAttention(inputs: AttentionInputs, attrs: AttentionAttrs, drop: DropWeights = dropWeights): [out: Tensor, lse: Tensor] {
  const mask = maskOf(inputs, attrs);
  return outAndLse(inputs, attrs, attentionScores(inputs, attrs, mask), mask, drop);
}

/** referenceStats — the same, and of each query, `b h t`, the maximum of its scores and the entropy of its weights: [out, lse, rowMax, entropy]. */
export function referenceStats(inputs: AttentionInputs, attrs: AttentionAttrs): Tensor[] {
  const mask = maskOf(inputs, attrs);
  const scores = attentionScores(inputs, attrs, mask); // b h t s
  return [...outAndLse(inputs, attrs, scores, mask), ...rowStatistics(scores, mask)];
}

const maskOf = ({ q, k }: AttentionInputs, attrs: AttentionAttrs): ScoreMask | undefined =>
  scoreMask(attentionMask(q.shape[1] as number, k.shape[1] as number, attrs));

/** outAndLse — what masked scores `b h t s` make of v. */
export function outAndLse(
  { v }: AttentionInputs, attrs: AttentionAttrs, scores: Tensor, mask: ScoreMask | undefined, drop: DropWeights = dropWeights,
): [out: Tensor, lse: Tensor] {
  return [mixValues(drop(attentionWeights(scores, mask), attrs), v), rowLse(scores, mask)];
}

/** Drops weight i of `b h t s` by word i of the seed's bits. */
const dropWeights: DropWeights = (weights, attrs) =>
  (attrs.dropout === 0 ? weights : mul(weights, tensor(keepFactors(attrs, weights.size), weights.shape)));
