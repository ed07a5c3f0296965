import type { GradientTransform, ParamSpec, Schedule, Tree } from '@evenkeel/core-tensor';
import { adafactor, adamw, chain, clipByGlobalNorm, decayMask, lamb, lars, lion, muon, muP, sgd, sgdSai, type PerParamOptions } from '@evenkeel/optimizers';
import { scheduleOf, type ScheduleSettings } from './schedule.ts';
import type { OptimizerName, TechniqueSettings } from './techniques.ts';

export type OptimizerSettings = ScheduleSettings & Pick<TechniqueSettings, 'optimizer' | 'weightDecayMode' | 'mup'> & {
  readonly weightDecay: number;
  /** Largest global norm of the gradient; 0 for no limit. */
  readonly clip: number;
};

/** BETA2 — nanoGPT's for small batches: a longer memory than GPT-3's 0.95, since a step sees few tokens. */
const BETA2 = 0.99;

const MOMENTUM = 0.9;

/** What an optimizer is made of, besides what only some have. */
type Common = PerParamOptions & { readonly learningRate: Schedule; readonly weightDecay: number };

const OPTIMIZERS: Readonly<Record<OptimizerName, (common: Common, settings: OptimizerSettings, specs: Tree<ParamSpec>) => unknown>> = {
  adamw: (common, { weightDecayMode, learningRate: peakLearningRate }) => adamw({ ...common, beta2: BETA2, weightDecayMode, peakLearningRate }),
  'sgd-sai': (common) => sgdSai({ ...common, momentum: MOMENTUM }),
  lars: (common) => lars({ ...common, momentum: MOMENTUM }),
  lamb: (common) => lamb({ ...common, beta2: BETA2 }),
  lion: (common) => lion(common),
  adafactor: (common) => adafactor(common),
  muon: (common, _, specs) => muon(specs, { ...common, adamw: { beta2: BETA2 } }),
  sgd: (common) => sgd({ ...common, momentum: MOMENTUM }),
};

/**
 * DEFAULTS — the learning rate of a run that does not say one, and its weight decay. With these rates a small GPT comes about as far in its
 * first 200 steps as with AdamW's; the product of rate and decay is the same for all but LARS, whose penalty it is not.
 */
export const DEFAULTS: Readonly<Record<OptimizerName, { readonly learningRate: number; readonly weightDecay: number }>> = {
  adamw: { learningRate: 1e-3, weightDecay: 0.1 },
  'sgd-sai': { learningRate: 1, weightDecay: 1e-4 },
  lars: { learningRate: 10, weightDecay: 1e-4 },
  lamb: { learningRate: 1e-2, weightDecay: 0.01 },
  lion: { learningRate: 5e-4, weightDecay: 0.2 },
  adafactor: { learningRate: 3e-2, weightDecay: 3e-3 },
  muon: { learningRate: 1e-3, weightDecay: 0.1 },
  sgd: { learningRate: 0.1, weightDecay: 1e-4 },
};

/** EPS_OF_STEPS — beside which the steps of an optimizer shrink, for the monitor; others have none, or make up for it. */
export const EPS_OF_STEPS: Readonly<Partial<Record<OptimizerName, number>>> = { adamw: 1e-8 };

/** INDEPENDENT_DECAY — of a run that does not say one: it is multiplied by no learning rate. */
export const INDEPENDENT_DECAY = 1e-4;

/** optimizerFor — the optimizer of a run, decaying matrices and embeddings only, behind global-norm clipping; and its learning rate. */
export function optimizerFor(settings: OptimizerSettings, specs: Tree<ParamSpec>): { optimizer: GradientTransform; schedule: Schedule } {
  const { clip, optimizer, weightDecay, mup } = settings;
  const learningRate = scheduleOf(settings);
  const scales = mup === 0 ? {} : { learningRateScales: muP(specs, { baseWidth: mup }).learningRateScales };
  const step = OPTIMIZERS[optimizer]({ learningRate, weightDecay, mask: decayMask(specs), ...scales }, settings, specs) as GradientTransform;
  return { optimizer: clip > 0 ? chain(clipByGlobalNorm(clip), step) : step, schedule: learningRate };
}
