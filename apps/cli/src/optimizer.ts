import type { GradientTransform, ParamSpec, Schedule, Tree } from '@evenkeel/core-tensor';
import { adamw, chain, clipByGlobalNorm, constant, cosine, decayMask, joinSchedules, warmupLinear, wsd } from '@evenkeel/optimizers';

export type ScheduleName = 'cosine' | 'wsd' | 'constant';

export type OptimizerSettings = {
  readonly steps: number;
  readonly learningRate: number;
  readonly warmup: number;
  readonly schedule: ScheduleName;
  readonly weightDecay: number;
  /** Largest global norm of the gradient; 0 for no limit. */
  readonly clip: number;
};

/** BETA2 — nanoGPT's for small batches: a longer memory than GPT-3's 0.95, since a step sees few tokens. */
export const BETA2 = 0.99;

/** FLOOR — the share of the highest learning rate at which the cosine schedule ends (arXiv:2005.14165, appendix B). */
const FLOOR = 0.1;

/** scheduleOf — the learning rate of every step of a run. */
export function scheduleOf({ schedule, learningRate: peak, warmup, steps }: Omit<OptimizerSettings, 'weightDecay' | 'clip'>): Schedule {
  if (schedule === 'cosine') return cosine({ peak, steps, warmup, floor: FLOOR * peak });
  if (schedule === 'wsd') return wsd({ peak, steps, warmup });
  return warmup === 0 ? constant(peak) : joinSchedules([{ schedule: warmupLinear({ peak, warmup }) }]);
}

/** warmupLimit — the longest warm-up that ends before the last part of the schedule begins. */
export function warmupLimit(schedule: ScheduleName, steps: number): number {
  if (schedule === 'cosine') return steps - 1;
  return schedule === 'wsd' ? steps - Math.max(1, Math.round(steps / 5)) : steps;
}

/** optimizerFor — AdamW on matrices with decay, behind global-norm clipping. */
export function optimizerFor(settings: OptimizerSettings, specs: Tree<ParamSpec>): { optimizer: GradientTransform; schedule: Schedule } {
  const schedule = scheduleOf(settings);
  const step = adamw({ learningRate: schedule, beta2: BETA2, weightDecay: settings.weightDecay, mask: decayMask(specs) });
  const optimizer = settings.clip > 0 ? chain(clipByGlobalNorm(settings.clip), step as GradientTransform) : step as GradientTransform;
  return { optimizer, schedule };
}
