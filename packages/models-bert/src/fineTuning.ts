import { checkInteger, type GradientTransform, type ParamSpec, type Schedule, type Tree } from '@evenkeel/core-tensor';
import { adamw, decayMask, linearDecay, type AdamwOptions } from '@evenkeel/optimizers';

/** FineTuningRecipe — what to fine-tune a task with. */
export type FineTuningRecipe = { readonly learningRate: number; readonly weightDecay: number; readonly epochs: number; readonly batchSize: number; readonly metric: string };

/**
 * GLUE_RECIPES — MosaicBERT's settings for the tasks of GLUE. RTE, MRPC and STS-B start from the checkpoint of MNLI.
 *
 * Source: Portes et al. 2023, arXiv:2312.17482, and its published settings.
 */
export const GLUE_RECIPES = {
  mnli: { learningRate: 5e-5, weightDecay: 5e-6, epochs: 3, batchSize: 48, metric: 'accuracy' },
  qqp: { learningRate: 3e-5, weightDecay: 3e-6, epochs: 5, batchSize: 16, metric: 'accuracy and F1' },
  qnli: { learningRate: 1e-5, weightDecay: 1e-6, epochs: 10, batchSize: 16, metric: 'accuracy' },
  sst2: { learningRate: 3e-5, weightDecay: 3e-6, epochs: 3, batchSize: 16, metric: 'accuracy' },
  cola: { learningRate: 5e-5, weightDecay: 5e-6, epochs: 10, batchSize: 32, metric: 'matthews' },
  rte: { learningRate: 1e-5, weightDecay: 1e-5, epochs: 3, batchSize: 16, metric: 'accuracy' },
  stsb: { learningRate: 3e-5, weightDecay: 3e-6, epochs: 10, batchSize: 32, metric: 'spearman' },
  mrpc: { learningRate: 8e-5, weightDecay: 8e-6, epochs: 10, batchSize: 32, metric: 'accuracy and F1' },
} as const satisfies Readonly<Record<string, FineTuningRecipe>>;

/** fineTuningSchedule — the learning rate of each step: up over the first 6 % of the steps, then linearly to 0. */
export function fineTuningSchedule({ learningRate, steps }: { learningRate: number; steps: number }): Schedule {
  checkInteger('fineTuningSchedule', 'steps', steps);
  return linearDecay({ peak: learningRate, steps, warmup: Math.min(steps - 1, Math.ceil(0.06 * steps)) });
}

/**
 * fineTuningOptimizer — AdamW as MosaicBERT fine-tunes with: β = (0.9, 0.98), ε = 1e-6, the learning rate of `fineTuningSchedule`; the decay
 * of matrices and embeddings follows the schedule and not the learning rate.
 *
 * @param specs    of the model.
 * @param options  `learningRate` at its peak, `weightDecay`, `steps` of the run; all others of `adamw` in place of those above.
 */
export function fineTuningOptimizer(
  specs: Tree<ParamSpec>, { learningRate, weightDecay, steps, ...others }: { learningRate: number; weightDecay: number; steps: number } & Omit<AdamwOptions, 'learningRate' | 'weightDecay'>,
): GradientTransform {
  checkInteger('fineTuningOptimizer', 'steps', steps);
  return adamw({
    learningRate: fineTuningSchedule({ learningRate, steps }), weightDecay, weightDecayMode: 'independent', beta1: 0.9, beta2: 0.98, eps: 1e-6, mask: decayMask(specs), ...others,
  }) as unknown as GradientTransform;
}
