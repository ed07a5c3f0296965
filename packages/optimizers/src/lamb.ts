import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { perStep, type GradientTransform, type Schedule, type Tree } from '@evenkeel/core-tensor';
import { adamwStep } from './adamw.ts';
import { countStep } from './countStep.ts';
import { checkLearningRate, learningRateAt } from './learningRate.ts';
import { mapLists } from './leaves.ts';
import { axesMask, perParam, type PerParamOptions } from './perParam.ts';
import { biasCorrections, checkAdam, initAdam, type AdamState } from './scaleByAdam.ts';
import { scaledSums } from './scaledSums.ts';
import { trustRatios } from './trustRatio.ts';

export type LambOptions = PerParamOptions & {
  learningRate: number | Schedule;
  beta1?: number;
  beta2?: number;
  eps?: number;
  weightDecay?: number;
  /** True where the step is scaled by the trust ratio; default: the parameters of two axes or more. `decayMask(specs)` chooses by role. */
  adapt?: Tree<boolean>;
};

/**
 * lamb — AdamW's step scaled, parameter by parameter, to the parameter's length: for very large batches.
 *
 *     step   = (mu / (1 − beta1ᵗ)) / (√(nu / (1 − beta2ᵗ)) + eps) + weightDecay · param
 *     update = −η · scale · ‖param‖ / ‖step‖ · step        without the ratio where a norm is 0, or `adapt` is false
 *
 * @param options  `learningRate` η per step, a number or a schedule: about the relative change of a matrix in one step; `beta1` (0.9),
 *                 `beta2` (0.999), `eps` (1e-6, unit of the gradient), `weightDecay` (0.01), `adapt`, `mask`, `learningRateScales`.
 * @throws ConfigError  if an option is out of range, or a tree lacks a parameter.
 *
 * Source: You et al. 2019, arXiv:1904.00962, algorithm 2, with φ(z) = z. Departs from the paper: vectors are left out, as is usual.
 */
export function lamb({ learningRate, beta1 = 0.9, beta2 = 0.999, eps = 1e-6, weightDecay = 0.01, adapt, ...trees }: LambOptions): GradientTransform<AdamState> {
  checkLearningRate('lamb', learningRate);
  checkAdam('lamb', { beta1, beta2, eps });
  const numbersOf = perParam('lamb', { weightDecay, ...trees });
  const adaptsAt = axesMask('lamb', 'adapt', adapt);
  return Object.freeze({
    init: initAdam,
    update: (grads: Tree<Tensor>, state: AdamState, params: Tree<Variable>) => {
      const a = perStep(() => -learningRateAt('lamb', learningRate, state.count));
      const corrections = biasCorrections(state, { beta1, beta2 });
      const updates = mapLists('lamb', params, { grads, mu: state.mu, nu: state.nu }, ({ paths, params: variables, lists }) => {
        const { weightDecays, scales } = numbersOf(paths);
        const xs = adamwStep({ param: variables, grad: lists.grads, mu: lists.mu as Variable[], nu: lists.nu as Variable[] },
          { learningRate: -1, beta1, beta2, eps, ...corrections, weightDecays, scales: paths.map(() => 1) });
        const factor = trustRatios(variables, xs, { adapts: paths.map((path, i) => adaptsAt(path, (variables[i] as Variable).shape)) });
        return scaledSums({ xs, a, as: scales, factor });
      });
      countStep(state);
      return updates;
    },
  });
}
