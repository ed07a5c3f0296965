import { zerosLike, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { checkProbability, perStep, stateVariable, treeMap, type GradientTransform, type Schedule, type Tree } from '@evenkeel/core-tensor';
import { countStep } from './countStep.ts';
import { checkLearningRate, learningRateAt } from './learningRate.ts';
import { mapLists } from './leaves.ts';
import { momentumStep } from './momentumStep.ts';
import { perParam, type PerParamOptions } from './perParam.ts';

/** LionState — steps done, and the running mean of each gradient. */
export type LionState = { count: number; mu: Tree<Variable> };

export type LionOptions = PerParamOptions & { learningRate: number | Schedule; beta1?: number; beta2?: number; weightDecay?: number };

/**
 * lion — steps of the same size for every element, in the direction of a mean's sign: half of AdamW's state.
 *
 *     update = −η · scale · (sign(beta1·mu + (1 − beta1)·g) + weightDecay · param)
 *     mu     ← beta2·mu + (1 − beta2)·g
 *
 * An element moves by the learning rate however small its gradient is, so the rate is 3 to 10 times smaller than AdamW's, and the
 * decay as much larger. sign(0) is 0, and NaN stays NaN.
 *
 * @param options  `learningRate` η per step, a number or a schedule; `beta1` (0.9), `beta2` (0.99), `weightDecay` (0, times the learning
 *                 rate), `mask`, `learningRateScales`.
 * @throws ConfigError  if an option is out of range, or a tree lacks a parameter.
 *
 * Source: Chen et al. 2023, arXiv:2302.06675, program 1.
 */
export function lion({ learningRate, beta1 = 0.9, beta2 = 0.99, weightDecay = 0, ...trees }: LionOptions): GradientTransform<LionState> {
  checkLearningRate('lion', learningRate);
  checkProbability('lion', 'beta1', beta1);
  checkProbability('lion', 'beta2', beta2);
  const numbersOf = perParam('lion', { weightDecay, ...trees });
  return Object.freeze({
    init: (params: Tree<Variable>) => ({ count: 0, mu: treeMap((param) => stateVariable(() => zerosLike(param)), params) }),
    update: (grads: Tree<Tensor>, state: LionState, params: Tree<Variable>) => {
      const rate = perStep(() => learningRateAt('lion', learningRate, state.count));
      const updates = mapLists('lion', params, { grads, mu: state.mu }, ({ paths, params: variables, lists }) =>
        momentumStep({ param: variables, grad: lists.grads, mu: lists.mu as Variable[] },
          { learningRate: rate, keep: beta2, take: 1 - beta2, aheadKeep: beta1, aheadTake: 1 - beta1, sign: true, ...numbersOf(paths) }));
      countStep(state);
      return updates;
    },
  });
}
