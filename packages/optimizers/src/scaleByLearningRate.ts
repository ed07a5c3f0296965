import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import type { GradientTransform, Schedule, Tree } from '@evenkeel/core-tensor';
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
      const rate = learningRateAt('scaleByLearningRate', learningRate, state.count);
      const updates = mapLists('scaleByLearningRate', params, { grads }, ({ lists }) => scaledSums({ xs: lists.grads, a: -rate }));
      state.count += 1;
      return updates;
    },
  });
}
