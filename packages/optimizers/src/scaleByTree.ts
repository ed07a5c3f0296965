import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import type { GradientTransform, Tree } from '@evenkeel/core-tensor';
import { mapLists } from './leaves.ts';
import { scaleOf } from './perParam.ts';
import { scaledSums } from './scaledSums.ts';

/**
 * scaleByTree — multiplies each update by a number of its own: what `learningRateScales` does, as a link of a chain.
 *
 * @param scales  in the structure of the parameters: `layerwiseDecay(specs, …)`, `muP(specs, …).learningRateScales`.
 * @throws ConfigError  if one is not a finite number ≥ 0; later, if the tree lacks a parameter.
 */
export function scaleByTree(scales: Tree<number>): GradientTransform<Record<string, never>> {
  const scale = scaleOf('scaleByTree', scales, 'scales');
  return Object.freeze({
    init: () => ({}),
    update: (grads: Tree<Tensor>, _: Record<string, never>, params: Tree<Variable>) =>
      mapLists('scaleByTree', params, { grads }, ({ paths, lists }) => scaledSums({ xs: lists.grads, a: 1, as: paths.map(scale) })),
  });
}
