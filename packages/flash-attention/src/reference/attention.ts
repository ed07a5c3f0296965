import { randomBits } from '@evenkeel/core-tensor';
import { add, logSumExp, matMul, mul, neg, reshape, softmax, tensor, transpose, type Tensor } from '@tensorflow/tfjs-core';
import { alibiDistances, attentionMask, type AttentionMask } from '../mask.ts';
import type { AttentionAttrs, AttentionInputs, AttentionTerms } from '../options.ts';

/**
 * referenceAttention — dropout(softmax(scale · q kᵀ − slope · distance + bias + mask)) v with the scores written out: the truth that
 * kernels are held to, differentiable to every order.
 *
 * @returns  `out: b t h d` and `lse: b h t`; a query that sees no key has out 0 and lse +Infinity.
 */
export function referenceAttention({ q, k, v, ...terms }: AttentionInputs, attrs: AttentionAttrs): [out: Tensor, lse: Tensor] {
  const [B, T, H, D] = q.shape as [number, number, number, number];
  const [, S, G] = k.shape as [number, number, number, number];
  const mask = attentionMask(T, S, attrs);
  // The h / g query heads that share a key head stand below one another, so that no key is repeated.
  const queries = reshape(transpose(q, [0, 2, 1, 3]), [B, G, (H / G) * T, D]); // b g rt d
  const keys = transpose(k, [0, 2, 1, 3]); // b g s d
  const values = transpose(v, [0, 2, 1, 3]); // b g s d
  const products = reshape(matMul(mul(queries, attrs.scale), keys, false, true), [B, H, T, S]);
  const scores = addTerms(products, terms, mask); // b h t s
  const dropped = dropWeights(attentionWeights(scores, mask), attrs); // b h t s
  const mixed = matMul(reshape(dropped, [B, G, (H / G) * T, S]), values); // b g rt d
  return [transpose(reshape(mixed, [B, H, T, D]), [0, 2, 1, 3]), rowLse(scores, mask)];
}

/** Lowers the scores by ALiBi's distances, adds the bias and hides what the mask hides. */
function addTerms(products: Tensor, { alibiSlopes, bias }: AttentionTerms, mask: AttentionMask | undefined): Tensor {
  const [, H, T, S] = products.shape as [number, number, number, number];
  let scores = products; // b h t s
  if (alibiSlopes !== undefined) {
    const slopes = reshape(alibiSlopes, [-1, H, 1, 1]); // 1|b h 1 1
    scores = add(scores, mul(neg(slopes), tensor(alibiDistances(T, S), [T, S])));
  }
  if (bias !== undefined) scores = add(scores, bias);
  return mask === undefined ? scores : add(scores, tensor(mask.bias, [T, S]));
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
function dropWeights(weights: Tensor, { dropout, seed }: AttentionAttrs): Tensor {
  if (dropout === 0) return weights;
  const keep = Float32Array.from(randomBits(seed, weights.size), (bits) => (bits >= dropout * 2 ** 32 ? 1 / (1 - dropout) : 0));
  return mul(weights, tensor(keep, weights.shape));
}
