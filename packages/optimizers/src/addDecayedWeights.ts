import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { checkRange, type GradientTransform, type Tree } from '@evenkeel/core-tensor';
import { leafOf, mapLists } from './leaves.ts';
import { scaledSums } from './scaledSums.ts';

export type AddDecayedWeightsOptions = {
  weightDecay: number;
  /** True where a parameter decays, in the structure of the parameters; default everywhere. `decayMask(specs)` makes one. */
  mask?: Tree<boolean>;
};

/**
 * addDecayedWeights — adds `weightDecay · param` to each gradient or update.
 *
 * After `scaleByAdam` this is decoupled weight decay (AdamW); before it or before momentum it is an L2 penalty.
 *
 * @throws ConfigError  if `weightDecay` is not a finite number ≥ 0, or `mask` lacks a parameter.
 *
 * Source: Loshchilov & Hutter 2017, arXiv:1711.05101. Departs from the paper: where the learning rate follows, it scales the
 * decay too, as in PyTorch and optax.
 */
export function addDecayedWeights({ weightDecay, mask }: AddDecayedWeightsOptions): GradientTransform<Record<string, never>> {
  checkWeightDecay('addDecayedWeights', weightDecay);
  return Object.freeze({
    init: () => ({}),
    update: (grads: Tree<Tensor>, _: Record<string, never>, params: Tree<Variable>) => {
      const decays = decayOf('addDecayedWeights', mask);
      return mapLists('addDecayedWeights', params, { grads }, ({ paths, params: ys, lists }) =>
        scaledSums({ xs: lists.grads, a: 1, ys, bs: paths.map((path) => (decays(path) ? weightDecay : 0)) }));
    },
  });
}

/** checkWeightDecay — throws ConfigError unless `weightDecay` is a finite number ≥ 0. */
export function checkWeightDecay(fn: string, weightDecay: number): void {
  checkRange(fn, 'weightDecay', weightDecay, 0, Number.MAX_VALUE);
}

/** decayOf — whether the parameter of a path decays. */
export function decayOf(fn: string, mask: Tree<boolean> | undefined): (path: string) => boolean {
  return mask === undefined ? () => true : leafOf<boolean>(fn, 'mask', mask);
}
