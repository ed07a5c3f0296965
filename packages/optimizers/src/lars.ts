import { zerosLike, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { checkPositive, checkProbability, checkRange, perStep, stateVariable, treeMap, type GradientTransform, type Schedule, type Tree } from '@evenkeel/core-tensor';
import { countStep } from './countStep.ts';
import { checkLearningRate, learningRateAt } from './learningRate.ts';
import { mapLists } from './leaves.ts';
import { momentumStep } from './momentumStep.ts';
import { axesMask, perParam, type PerParamOptions } from './perParam.ts';
import { trustRatios } from './trustRatio.ts';

/** LarsState — steps done, and the decaying sum of each parameter's scaled gradients. */
export type LarsState = { count: number; mu: Tree<Variable> };

export type LarsOptions = PerParamOptions & {
  learningRate: number | Schedule;
  momentum?: number;
  nesterov?: boolean;
  weightDecay?: number;
  trustCoefficient?: number;
  eps?: number;
  /** True where the gradient is scaled by the trust ratio; default: the parameters of two axes or more. `decayMask(specs)` chooses by role. */
  adapt?: Tree<boolean>;
};

/**
 * lars — momentum on gradients that are scaled, parameter by parameter, to a share of the parameter's length.
 *
 *     trust  = trustCoefficient · ‖param‖ / (‖g‖ + weightDecay · ‖param‖ + eps)        1 where a norm is 0, or `adapt` is false
 *     mu     ← momentum · mu + trust · (g + weightDecay · param)
 *     update = −η · scale · mu
 *
 * Vectors and scalars (biases, gains, the scalar of a spectral reparametrisation) keep their own gradient: their length means nothing.
 *
 * @param options  `learningRate` η per step, a number or a schedule: 0.1 to 1, or tens for very large batches; `momentum` (0.9), `nesterov`
 *                 (false), `weightDecay` (0; a penalty, so it enters ratio and moment), `trustCoefficient` (1e-3), `eps` (1e-8, unit of the
 *                 gradient's norm), `adapt`, `mask`, `learningRateScales`.
 * @throws ConfigError  if an option is out of range, or a tree lacks a parameter.
 *
 * Source: You et al. 2017, arXiv:1708.03888, algorithm 1. Departs from the paper: the learning rate multiplies the moment when it is
 * used and not when it is stored, as in PyTorch's SGD, so that a schedule acts at once; and vectors are left out, as is usual.
 */
export function lars(
  { learningRate, momentum = 0.9, nesterov = false, weightDecay = 0, trustCoefficient = 1e-3, eps = 1e-8, adapt, ...trees }: LarsOptions,
): GradientTransform<LarsState> {
  checkLearningRate('lars', learningRate);
  checkProbability('lars', 'momentum', momentum);
  checkPositive('lars', 'trustCoefficient', trustCoefficient);
  checkRange('lars', 'eps', eps, 0, Number.MAX_VALUE);
  const numbersOf = perParam('lars', { weightDecay, ...trees });
  const adaptsAt = axesMask('lars', 'adapt', adapt);
  const ahead = nesterov ? { aheadKeep: momentum ** 2, aheadTake: 1 + momentum } : { aheadKeep: momentum, aheadTake: 1 };
  return Object.freeze({
    init: (params: Tree<Variable>) => ({ count: 0, mu: treeMap((param) => stateVariable(() => zerosLike(param)), params) }),
    update: (grads: Tree<Tensor>, state: LarsState, params: Tree<Variable>) => {
      const rate = perStep(() => learningRateAt('lars', learningRate, state.count));
      const updates = mapLists('lars', params, { grads, mu: state.mu }, ({ paths, params: variables, lists }) => {
        const { weightDecays: penalties, scales } = numbersOf(paths);
        const adapts = paths.map((path, i) => adaptsAt(path, (variables[i] as Variable).shape));
        const factor = trustRatios(variables, lists.grads, { adapts, coefficient: trustCoefficient, eps, penalties });
        return momentumStep({ param: variables, grad: lists.grads, mu: lists.mu as Variable[], factor: [factor] },
          { learningRate: rate, keep: momentum, take: 1, ...ahead, penalties, weightDecays: penalties.map(() => 0), scales });
      });
      countStep(state);
      return updates;
    },
  });
}
