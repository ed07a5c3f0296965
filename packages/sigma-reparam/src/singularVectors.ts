import { checkDtype, checkInteger, checkMinRank, checkShape, randomNormal, unrecorded } from '@evenkeel/core-tensor';
import type { Tensor } from '@tensorflow/tfjs-core';
import { matrixShape } from './matrixOf.ts';
import { powerIteration, type SingularVectors } from './powerIteration.ts';

export type SingularVectorsOptions = {
  /** Steps of the power iteration; default 100. The relative error of the norm falls as (σ₂/σ₁)^(2·iterations). */
  iterations?: number;
  /** `i`: where v starts, such as an earlier result; default random numbers that are always the same. */
  start?: Tensor;
};

/** The same start for every matrix of a width, so that what follows from a matrix depends on nothing else. */
const START_SEED = 0x51f15eed;

/**
 * singularVectors — the leading singular pair of a matrix by power iteration, in float32.
 *
 *     u ← W v / ‖W v‖        v ← Wᵀ u / ‖Wᵀ u‖
 *
 * @param weight   `o …`, read as a matrix of o rows.
 * @param options  `iterations` (default 100); `start`.
 * @returns        unit vectors `u: o` and `v: i`, owned by the caller; no gradient flows through them. NaN for a matrix of zeros.
 * @throws ShapeError   if `weight` is not float32 or has less than two axes, or `start` is not as long as its rows.
 * @throws ConfigError  if `iterations` is not an integer ≥ 1.
 */
export function singularVectors(weight: Tensor, { iterations = 100, start }: SingularVectorsOptions = {}): SingularVectors {
  checkMinRank('singularVectors', 'weight', weight, 2);
  checkDtype('singularVectors', 'weight', weight, 'float32');
  checkInteger('singularVectors', 'iterations', iterations);
  const [, inDim] = matrixShape(weight.shape);
  if (start !== undefined) checkShape('singularVectors', 'start', start, [inDim]);
  return unrecorded(() => {
    let vectors = powerIteration(weight, start ?? randomNormal([inDim], { seed: START_SEED }));
    for (let i = 1; i < iterations; i++) vectors = powerIteration(weight, vectors.v);
    return vectors;
  });
}
