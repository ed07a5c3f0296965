import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { perStep, type GradientTransform, type Schedule, type Tree } from '@evenkeel/core-tensor';
import { countStep } from './countStep.ts';
import { checkLearningRate, learningRateAt } from './learningRate.ts';
import { mapLists } from './leaves.ts';
import { scaledSums } from './scaledSums.ts';

/** LearningRateState — steps done: what the schedule is asked next. */
export type LearningRateState = { count: number };

/**
 * scaleByLearningRate — multiplies each update by −learningRate, so that adding it descends.
 *
 * @param learningRate  per step: a number, or a schedule of the step counted from 0.
 * @throws ConfigError  if it is, or at some step becomes, anything but a finite number ≥ 0.
 */
export function scaleByLearningRate(learningRate: number | Schedule): GradientTransform<LearningRateState> {
  checkLearningRate('scaleByLearningRate', learningRate);
  return Object.freeze({
    init: () => ({ count: 0 }),
    update: (grads: Tree<Tensor>, state: LearningRateState, params: Tree<Variable>) => {
      const a = perStep(() => -learningRateAt('scaleByLearningRate', learningRate, state.count));
      const updates = mapLists('scaleByLearningRate', params, { grads }, ({ lists }) => scaledSums({ xs: lists.grads, a }));
      countStep(state);
      return updates;
    },
  });
}
