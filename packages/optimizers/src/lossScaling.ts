import { mul, tidy, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { checkInteger, checkPositive, perStep, stepScalar, type GradientTransform, type OptimizerState, type Tree } from '@evenkeel/core-tensor';
import { mapLists, tidyTree } from './leaves.ts';
import { scaledSums } from './scaledSums.ts';

/** LossScaleState — the factor of the loss, the steps since it last changed, and the state of the optimizer within. */
export type LossScaleState = { scale: number; goodSteps: number; inner: OptimizerState };

export type LossScalingOptions = {
  /** The first factor; default 2¹⁶. A power of two changes no digit. */
  initial?: number;
  /** Steps without overflow after which the factor doubles, up to 2²⁴; default 2000. */
  growthEvery?: number;
};

const LARGEST = 2 ** 24;

/**
 * lossScaling — an optimizer for gradients of a loss that was multiplied by a factor, so that small ones do not become 0 where
 * products are rounded to f16. The factor halves when a gradient overflows and doubles after many steps without.
 *
 *     loss' = scaleLoss(loss, state)        grads' = scale · grads        update = inner(grads' / scale)
 *
 * `scaleLoss` multiplies the loss, `adjustLossScale` is told after each step whether loss and gradient were finite; a step that was not
 * must leave parameters and state alone, and be done again.
 *
 * @param inner  gets the gradients of the loss itself: clipping and the like belong there.
 * @throws ConfigError  if an option is out of range.
 *
 * Source: Micikevicius et al. 2017, arXiv:1710.03740, §3.2. Departs from the paper: the step is repeated, not left out.
 */
export function lossScaling(inner: GradientTransform, { initial = 2 ** 16, growthEvery = 2000 }: LossScalingOptions = {}): GradientTransform<LossScaleState> & LossScaler {
  checkPositive('lossScaling', 'initial', initial);
  checkInteger('lossScaling', 'growthEvery', growthEvery);
  return Object.freeze({
    init: (params: Tree<Variable>) => ({ scale: initial, goodSteps: 0, inner: inner.init(params) }),
    update: (grads: Tree<Tensor>, state: LossScaleState, params: Tree<Variable>) => tidyTree('lossScaling', () => {
      const a = perStep(() => 1 / state.scale);
      const unscaled = mapLists('lossScaling', params, { grads }, ({ lists }) => scaledSums({ xs: lists.grads, a }));
      return inner.update(unscaled, state.inner, params);
    }),
    scaleLoss: (loss: Tensor, state: LossScaleState) => tidy('scaleLoss', () => mul(loss, stepScalar(perStep(() => state.scale)))),
    adjust: (state: LossScaleState, isFinite: boolean) => adjust(state, isFinite, growthEvery),
  });
}

/** LossScaler — what the training loop asks of `lossScaling`. */
export type LossScaler = {
  readonly scaleLoss: (loss: Tensor, state: LossScaleState) => Tensor;
  /** After each attempt. False: it overflowed at a factor of 1, so the loss itself is at fault. */
  readonly adjust: (state: LossScaleState, isFinite: boolean) => boolean;
};

function adjust(state: LossScaleState, isFinite: boolean, growthEvery: number): boolean {
  if (!isFinite) {
    if (state.scale <= 1) return false;
    Object.assign(state, { scale: state.scale / 2, goodSteps: 0 });
    return true;
  }
  state.goodSteps += 1;
  if (state.goodSteps >= growthEvery && state.scale < LARGEST) Object.assign(state, { scale: 2 * state.scale, goodSteps: 0 });
  return true;
}
