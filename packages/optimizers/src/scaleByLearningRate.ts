import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { perStep, type GradientTransform, type Schedule, type Tree } from '@evenkeel/core-tensor';
import { countStep } from './countStep.ts';
import { checkLearningRate, learningRateAt } from './learningRate.ts';
import { mapLists } from './leaves.ts';
import { scaleOf } from './perParam.ts';
import { scaledSums } from './scaledSums.ts';

/** LearningRateState — steps done: what the schedule is asked next. */
export type LearningRateState = { count: number };

export type ScaleByLearningRateOptions = {
  /** Factors of the learning rate, in the structure of the parameters; default 1. */
  learningRateScales?: Tree<number>;
};

/**
 * scaleByLearningRate — multiplies each update by −learningRate, so that adding it descends.
 *
 * @param learningRate  per step: a number, or a schedule of the step counted from 0.
 * @param options       `learningRateScales`: a factor for each parameter.
 * @throws ConfigError  if the rate is, or at some step becomes, anything but a finite number ≥ 0, or a scale is none.
 */
export function scaleByLearningRate(learningRate: number | Schedule, { learningRateScales }: ScaleByLearningRateOptions = {}): GradientTransform<LearningRateState> {
  checkLearningRate('scaleByLearningRate', learningRate);
  const scale = scaleOf('scaleByLearningRate', learningRateScales);
  return Object.freeze({
    init: () => ({ count: 0 }),
    update: (grads: Tree<Tensor>, state: LearningRateState, params: Tree<Variable>) => {
      const a = perStep(() => -learningRateAt('scaleByLearningRate', learningRate, state.count));
      const updates = mapLists('scaleByLearningRate', params, { grads }, ({ paths, lists }) => scaledSums({ xs: lists.grads, a, as: paths.map(scale) }));
      countStep(state);
      return updates;
    },
  });
}
