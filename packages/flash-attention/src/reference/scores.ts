import { randomBits, type Seed } from '@evenkeel/core-tensor';
import { add, greater, logSumExp, matMul, mul, neg, reshape, scalar, softmax, tensor, transpose, where, type Tensor } from '@tensorflow/tfjs-core';
import { alibiDistances, type AttentionMask } from '../mask.ts';
import type { AttentionInputs, AttentionTerms } from '../options.ts';
import { softcap as capAt } from './softcap.ts';

/**
 * ScoreMask — `bias: t s` is 0 where a query may attend and −Infinity where not; `sees: t` is 1 for a query that sees some key and 0
 * for one that sees none, whose row of the bias is 0, so that all arithmetic stays finite. Absent if all see some key.
 */
export type ScoreMask = { bias: Tensor; sees?: Tensor };

/** scoreMask — a mask of numbers as tensors. */
export function scoreMask(mask: AttentionMask | undefined): ScoreMask | undefined {
  if (mask === undefined) return undefined;
  const T = mask.sees.length;
  return { bias: tensor(mask.bias, [T, mask.bias.length / T]), ...(!mask.seesAll && { sees: tensor(mask.sees) }) };
}

/** attentionScores — cap(scale · q kᵀ) − slope · distance + bias + mask, `b h t s`; `softcap` 0 = none. */
export function attentionScores(
  { q, k, alibiSlopes, bias }: Omit<AttentionInputs, 'v'>, { scale, softcap = 0 }: { scale: number; softcap?: number }, mask: ScoreMask | undefined,
): Tensor {
  const [B, T, H, D] = q.shape as [number, number, number, number];
  const [, S, G] = k.shape as [number, number, number, number];
  // The h / g query heads that share a key head stand below one another, so that no key is repeated.
  const queries = reshape(transpose(q, [0, 2, 1, 3]), [B, G, (H / G) * T, D]); // b g rt d
  const keys = transpose(k, [0, 2, 1, 3]); // b g s d
  const products = reshape(matMul(mul(queries, scale), keys, false, true), [B, H, T, S]);
  const capped = softcap === 0 ? products : capAt(products, softcap);
  return addTerms(capped, { alibiSlopes, bias }, mask);
}

/** Lowers the scores by ALiBi's distances, adds the bias and hides what the mask hides. */
function addTerms(products: Tensor, { alibiSlopes, bias }: AttentionTerms, mask: ScoreMask | undefined): Tensor {
  const [, H, T, S] = products.shape as [number, number, number, number];
  let scores = products; // b h t s
  if (alibiSlopes !== undefined) {
    const slopes = reshape(alibiSlopes, [-1, H, 1, 1]); // 1|b h 1 1
    scores = add(scores, mul(neg(slopes), tensor(alibiDistances(T, S), [T, S])));
  }
  if (bias !== undefined) scores = add(scores, bias);
  return mask === undefined ? scores : add(scores, mask.bias);
}

/** attentionWeights — softmax over the keys; rows of queries that see nothing are 0. */
export function attentionWeights(scores: Tensor, mask: ScoreMask | undefined): Tensor {
  const weights = softmax(scores); // b h t s
  return mask?.sees === undefined ? weights : mul(weights, reshape(mask.sees, [-1, 1]));
}

/** rowLse — log-sum-exp over the keys; +Infinity for queries that see nothing. */
export function rowLse(scores: Tensor, mask: ScoreMask | undefined): Tensor {
  const lse = logSumExp(scores, -1); // b h t
  return mask?.sees === undefined ? lse : where(greater(mask.sees, 0), lse, scalar(Infinity));
}

/** mixValues — weights `b h t s` times v `b s g d`: `b t h d`. */
export function mixValues(weights: Tensor, v: Tensor): Tensor {
  const [B, H, T, S] = weights.shape as [number, number, number, number];
  const [, , G, D] = v.shape as [number, number, number, number];
  const values = transpose(v, [0, 2, 1, 3]); // b g s d
  const mixed = matMul(reshape(weights, [B, G, (H / G) * T, S]), values); // b g rt d
  return transpose(reshape(mixed, [B, H, T, D]), [0, 2, 1, 3]);
}

/** keepFactors — of `count` weights: 0 for those that dropout drops, 1 / (1 − dropout) for the others. */
export function keepFactors({ dropout, seed }: { dropout: number; seed: Seed }, count: number): Float32Array {
  return Float32Array.from(randomBits(seed, count), (bits) => (bits >= dropout * 2 ** 32 ? 1 / (1 - dropout) : 0));
}
