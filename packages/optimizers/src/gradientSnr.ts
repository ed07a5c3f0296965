import { add, div, greater, less, logicalAnd, max, mul, sqrt, square, tensor1d, tidy, where, zerosLike, type Tensor, type Tensor1D } from '@tensorflow/tfjs-core';
import { means, meanSquares } from './means.ts';

/** A gradient whose spread is smaller than this share of its mean counts as constant: rounding alone would leave a spread. */
const CONSTANT = 1e-5;

export type GradientSnrOptions = { readonly eps: number; readonly variance: 'population' | 'sample' };

/**
 * gradientSnr — the signal-to-noise ratio of each gradient that is not known yet; a known one stays, and its gradient is not read.
 *
 *     ‖g‖ / (std(g) + eps)        = √(d · (1 + mean² / variance)) for d elements and eps = 0
 *
 * A gradient of zeros has none yet: 0. One that is constant, or has one element only, would have an infinite one: it gets √d.
 *
 * @param grads  float32; borrowed.
 * @param known  one number per gradient, 0 where it is not known.
 * @returns      one number per gradient; the caller's.
 */
export function gradientSnr(grads: readonly Tensor[], known: Tensor1D, { eps, variance }: GradientSnrOptions): Tensor1D {
  return tidy('gradientSnr', () => {
    const sizes = tensor1d(grads.map(({ size }) => size));
    const centres = means(grads, { unless: known });
    const spread = meanSquares(grads, { centres, unless: known }); // population variance, from distances: not E[g²] − E[g]²
    const norm = sqrt(mul(sizes, add(spread, square(centres))));
    const freedom = tensor1d(grads.map(({ size }) => (variance === 'sample' ? size / Math.max(1, size - 1) : 1)));
    const ratio = div(norm, add(sqrt(mul(spread, freedom)), eps));
    const varies = greater(sqrt(spread), mul(sqrt(square(centres)), CONSTANT));
    const fresh = where(varies, ratio, sqrt(sizes));
    const isSignal = logicalAnd(greater(norm, 0), less(norm, Infinity)); // neither nothing nor overflow nor NaN
    return where(greater(known, 0), known, where(isSignal, fresh, zerosLike(fresh)));
  }) as Tensor1D;
}

/**
 * snrFactors — what each parameter's learning rate is multiplied by: its ratio, with `max` over the largest of all.
 *
 * Of a parameter that had no gradient yet √d stands for the ratio, which it will be near to, so that the largest hardly changes then.
 */
export function snrFactors(ratios: Tensor1D, sizes: readonly number[], normalize: 'max' | 'none'): Tensor1D {
  return tidy('snrFactors', () => {
    const likely = where(greater(ratios, 0), ratios, tensor1d(sizes.map(Math.sqrt)));
    return normalize === 'none' ? likely : div(likely, max(likely));
  }) as Tensor1D;
}
