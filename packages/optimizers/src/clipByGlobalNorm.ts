import { div, isFinite, maximum, scalar, where, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { checkPositive, type GradientTransform, type Tree } from '@evenkeel/core-tensor';
import { globalNorm } from './globalNorm.ts';
import { mapLists, tidyTree } from './leaves.ts';
import { scaledSums } from './scaledSums.ts';

/**
 * clipByGlobalNorm — scales all gradients by one factor so that their common norm is at most `maxNorm`.
 *
 *     update = g · maxNorm / max(‖g‖, maxNorm)
 *
 * The factor stays on the device: nothing is read back. A norm that is NaN or Infinity makes every update NaN, so that it
 * shows, where `maxNorm / Infinity` would quietly have turned finite gradients into zeros.
 *
 * @param maxNorm  in the unit of the gradients.
 * @throws ConfigError  if `maxNorm` is not a positive number.
 *
 * Source: Pascanu, Mikolov & Bengio 2012, arXiv:1211.5063, §3.2. PyTorch divides by ‖g‖ + 1e-6 instead.
 */
export function clipByGlobalNorm(maxNorm: number): GradientTransform<Record<string, never>> {
  checkPositive('clipByGlobalNorm', 'maxNorm', maxNorm);
  return Object.freeze({
    init: () => ({}),
    update: (grads: Tree<Tensor>, _: Record<string, never>, params: Tree<Variable>) => tidyTree('clipByGlobalNorm', () => {
      const factor = clipFactor(globalNorm(grads), maxNorm);
      return mapLists('clipByGlobalNorm', params, { grads }, ({ lists }) => scaledSums({ xs: lists.grads, a: 1, factor }));
    }),
  });
}

/** The factor as a scalar tensor; NaN unless the norm is finite. */
function clipFactor(norm: Tensor, maxNorm: number): Tensor {
  return where(isFinite(norm), div(scalar(maxNorm), maximum(norm, maxNorm)), scalar(NaN));
}
