import { checkDtype, checkInteger, checkMinRank, unrecorded } from '@evenkeel/core-tensor';
import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import { sigmaOf } from './powerIteration.ts';
import { singularVectors, type SingularVectorsOptions } from './singularVectors.ts';

/**
 * spectralNorm — the largest singular value of a matrix, by power iteration.
 *
 * @param weight   `o …`, float32, read as a matrix of o rows.
 * @param options  those of `singularVectors`: `iterations` (default 100), `start`.
 * @returns        a scalar ≥ 0, owned by the caller, through which no gradient flows; NaN for a matrix of zeros.
 * @throws ShapeError   if `weight` is not float32 or has less than two axes.
 * @throws ConfigError  if `iterations` is not an integer ≥ 1.
 */
export function spectralNorm(weight: Tensor, options: SingularVectorsOptions = {}): Scalar {
  checkMinRank('spectralNorm', 'weight', weight, 2);
  checkDtype('spectralNorm', 'weight', weight, 'float32');
  if (options.iterations !== undefined) checkInteger('spectralNorm', 'iterations', options.iterations);
  return unrecorded(() => sigmaOf(weight, singularVectors(weight, options))) as Scalar;
}
