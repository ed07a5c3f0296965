import { mul, tensor, type Tensor } from '@tensorflow/tfjs-core';
import { attentionMask } from '../mask.ts';
import type { AttentionAttrs, AttentionInputs } from '../options.ts';
import { attentionScores, attentionWeights, keepFactors, mixValues, rowLse, scoreMask } from './scores.ts';

/** DropWeights — weights `b h t s` after dropout, which acts once the softmax has been normalised, so that lse does not depend on it. */
export type DropWeights = (weights: Tensor, attrs: AttentionAttrs) => Tensor;

/**
 * referenceAttention — dropout(softmax(scale · q kᵀ − slope · distance + bias + mask)) v with the scores written out: the truth that
 * kernels are held to, differentiable to every order.
 *
 * @returns  `out: b t h d` and `lse: b h t`; a query that sees no key has out 0 and lse +Infinity.
 */
export function referenceAttention({ v, ...inputs }: AttentionInputs, attrs: AttentionAttrs, drop: DropWeights = dropWeights): [out: Tensor, lse: Tensor] {
  const mask = scoreMask(attentionMask(inputs.q.shape[1] as number, inputs.k.shape[1] as number, attrs));
  const scores = attentionScores(inputs, attrs, mask); // b h t s
  return [mixValues(drop(attentionWeights(scores, mask), attrs), v), rowLse(scores, mask)];
}

/** dropWeights — weight i of `b h t s` by word i of the seed's bits. */
export const dropWeights: DropWeights = (weights, attrs) =>
  (attrs.dropout === 0 ? weights : mul(weights, tensor(keepFactors(attrs, weights.size), weights.shape)));
