import { checkProbability, ConfigError, type GradientTransform, type Schedule } from '@evenkeel/core-tensor';
import { addDecayedWeights, checkWeightDecay } from './addDecayedWeights.ts';
import { chain, type ChainState } from './chain.ts';
import type { PerParamOptions } from './perParam.ts';
import { scaleByLearningRate } from './scaleByLearningRate.ts';
import { scaleByMomentum } from './scaleByMomentum.ts';

export type SgdOptions = PerParamOptions & {
  learningRate: number | Schedule;
  momentum?: number;
  nesterov?: boolean;
  weightDecay?: number;
};

/**
 * sgd — stochastic gradient descent, made of parts: `chain(addDecayedWeights, scaleByMomentum, scaleByLearningRate)`.
 *
 * @param options  `learningRate` per step, a number or a schedule; `momentum` (0, i.e. none), `nesterov` (false),
 *                 `weightDecay` (0; an L2 penalty that enters the momentum, as in PyTorch), `mask`, `learningRateScales`.
 * @throws ConfigError  if an option is out of range, or `nesterov` is asked for without momentum.
 */
export function sgd({ learningRate, momentum = 0, nesterov = false, weightDecay = 0, mask, learningRateScales }: SgdOptions): GradientTransform<ChainState> {
  checkWeightDecay('sgd', weightDecay);
  checkProbability('sgd', 'momentum', momentum);
  if (nesterov && momentum === 0) throw new ConfigError('sgd: momentum must be positive with nesterov, got 0');
  return chain(
    ...(weightDecay > 0 ? [addDecayedWeights({ weightDecay, mask })] : []),
    ...(momentum > 0 ? [scaleByMomentum({ momentum, nesterov })] : []),
    scaleByLearningRate(learningRate, { learningRateScales }),
  );
}
