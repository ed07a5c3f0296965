import { checkInteger, checkProbability, checkRange, ConfigError } from '@evenkeel/core-tensor';

/** ClassWeightOptions — `beta`: how much images of one class overlap, in [0, 1); default 0.9999. 0: all weights 1. */
export type ClassWeightOptions = { beta?: number };

/**
 * classBalancedWeights — a weight for each class that grows with its rarity: the inverse of its effective number of images.
 *
 *     E_i = (1 − beta^n_i) / (1 − beta),  w_i = C · (1/E_i) / Σ_j (1/E_j)
 *
 * @param counts  n: images of each class, each at least 1.
 * @returns       w, which add up to their number C.
 * @throws ConfigError  if a count is no positive integer or `beta` is out of range.
 *
 * Source: Cui et al. 2019, arXiv:1901.05555, eq. 3 and 4.
 */
export function classBalancedWeights(counts: readonly number[], { beta = 0.9999 }: ClassWeightOptions = {}): number[] {
  checkProbability('classBalancedWeights', 'beta', beta);
  checkCounts('classBalancedWeights', counts);
  const inverse = counts.map((count) => (1 - beta) / (1 - beta ** count));
  const total = inverse.reduce((sum, each) => sum + each, 0);
  return inverse.map((each) => (each / total) * counts.length);
}

/**
 * deferredReweighting — DRW: the weights of each epoch, 1 for every class until `start` and `classBalancedWeights` from then on.
 *
 * DeiT-LT also leaves mixing and label smoothing out from `start` on.
 *
 * @param options  `counts` of images per class; `start`: the first epoch with weights, from 0; `beta`.
 * @returns        epoch (from 0) → one weight per class.
 *
 * Source: Cao et al. 2019, arXiv:1906.07413, §3.3; in distillation, Rangwani et al. 2024, arXiv:2404.02900, §3.2.
 */
export function deferredReweighting({ counts, start, beta }: ClassWeightOptions & { counts: readonly number[]; start: number }): (epoch: number) => readonly number[] {
  checkInteger('deferredReweighting', 'start', start, 0);
  const [before, after] = [counts.map(() => 1), classBalancedWeights(counts, beta === undefined ? {} : { beta })];
  return (epoch) => (epoch < start ? before : after);
}

export type LdamOptions = {
  /** Margin of the rarest class. Default 0.5. */
  largest?: number;
};

/**
 * ldamMargins — how much further from the border each class must stay: Δ_j ∝ n_j^(−1/4), the rarest class `largest`.
 *
 * @throws ConfigError  if a count is no positive integer or `largest` is negative.
 *
 * Source: Cao et al. 2019, arXiv:1906.07413, eq. 13.
 */
export function ldamMargins(counts: readonly number[], { largest = 0.5 }: LdamOptions = {}): number[] {
  checkCounts('ldamMargins', counts);
  checkRange('ldamMargins', 'largest', largest, 0, Number.MAX_VALUE);
  const rarest = Math.min(...counts);
  return counts.map((count) => largest * (rarest / count) ** 0.25);
}

function checkCounts(fn: string, counts: readonly number[]): void {
  if (counts.length === 0) throw new ConfigError(`${fn}: counts must have a class or more, got none`);
  counts.forEach((count) => checkInteger(fn, 'counts', count));
}
