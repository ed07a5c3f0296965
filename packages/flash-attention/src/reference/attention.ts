import { randomBits } from '@evenkeel/core-tensor';
import { add, logSumExp, matMul, mul, reshape, softmax, tensor, transpose, type Tensor } from '@tensorflow/tfjs-core';
import { attentionMask, type AttentionMask } from '../mask.ts';
import type { AttentionAttrs, AttentionDropout } from '../options.ts';

/**
 * referenceAttention — softmax(scale · q kᵀ + mask) v with the scores written out: the truth that kernels are held to,
 * differentiable to every order.
 *
 * @returns  `out: b t h d` and `lse: b h t`; a query that sees no key has out 0 and lse +Infinity.
 */
export function referenceAttention(
  { q, k, v }: { q: Tensor; k: Tensor; v: Tensor }, attrs: AttentionAttrs, dropout?: AttentionDropout,
): [out: Tensor, lse: Tensor] {
  const [B, T, H, D] = q.shape as [number, number, number, number];
  const [, S, G] = k.shape as [number, number, number, number];
  const mask = attentionMask(T, S, attrs);
  // The h / g query heads that share a key head stand below one another, so that no key is repeated.
  const queries = reshape(transpose(q, [0, 2, 1, 3]), [B, G, (H / G) * T, D]); // b g rt d
  const keys = transpose(k, [0, 2, 1, 3]); // b g s d
  const values = transpose(v, [0, 2, 1, 3]); // b g s d
  const products = reshape(matMul(mul(queries, attrs.scale), keys, false, true), [B, H, T, S]);
  const scores = mask === undefined ? products : add(products, tensor(mask.bias, [T, S])); // b h t s
  const dropped = dropWeights(attentionWeights(scores, mask), dropout); // b h t s
  const mixed = matMul(reshape(dropped, [B, G, (H / G) * T, S]), values); // b g rt d
  return [transpose(reshape(mixed, [B, H, T, D]), [0, 2, 1, 3]), rowLse(scores, mask)];
}

/** Softmax over the keys; rows of queries that see nothing are 0. */
function attentionWeights(scores: Tensor, mask: AttentionMask | undefined): Tensor {
  const weights = softmax(scores); // b h t s
  return mask === undefined || mask.seesAll ? weights : mul(weights, tensor(mask.sees, [mask.sees.length, 1]));
}

/** Log-sum-exp over the keys; +Infinity for queries that see nothing. */
function rowLse(scores: Tensor, mask: AttentionMask | undefined): Tensor {
  const lse = logSumExp(scores, -1); // b h t
  if (mask === undefined || mask.seesAll) return lse;
  return add(mul(lse, tensor(mask.sees)), tensor(mask.sees.map((flag) => (flag === 1 ? 0 : Infinity))));
}

/** Dropout acts after the softmax has been normalised, so `lse` does not depend on it. */
function dropWeights(weights: Tensor, dropout: AttentionDropout | undefined): Tensor {
  if (dropout === undefined) return weights;
  const { rate, seed } = dropout;
  const keep = Float32Array.from(randomBits(seed, weights.size), (bits) => (bits >= rate * 2 ** 32 ? 1 / (1 - rate) : 0));
  return mul(weights, tensor(keep, weights.shape));
}
