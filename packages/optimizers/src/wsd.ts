import { checkInteger, checkOneOf, ConfigError, type Schedule } from '@evenkeel/core-tensor';
import { checkDecay, warmupLinear, withPeak } from './schedules.ts';

export type WsdOptions = {
  peak: number;
  /** Steps of the whole run, warm-up and decay included; from there on the value is `floor`. */
  steps: number;
  warmup?: number;
  /** Steps of the final fall; default a fifth of `steps`. */
  decay?: number;
  floor?: number;
  shape?: 'sqrt' | 'linear' | 'cosine';
};

/** REMAINING — shapes of a fall: the share of the way that is left after some share of the steps. */
export const REMAINING = {
  sqrt: (progress: number) => 1 - Math.sqrt(progress),
  linear: (progress: number) => 1 - progress,
  cosine: (progress: number) => (1 + Math.cos(Math.PI * progress)) / 2,
} as const;

/**
 * wsd — warm-up, stable, decay: linear to `peak`, constant, then down to `floor` over the last `decay` steps.
 *
 * The stable part does not depend on `steps`, so a run can be prolonged from a checkpoint taken before the decay.
 *
 * @param options  `shape` of the fall: `sqrt` (1 − √progress, default), `linear` or `cosine`; counts are in steps.
 * @throws ConfigError  if `warmup + decay` is more than `steps`, or `floor` is above `peak`.
 *
 * Source: Hu et al. 2024, arXiv:2404.06395, §4; the 1 − √ shape and the fifth: Hägele et al. 2024, arXiv:2405.18392, §4.
 */
export function wsd({ peak, steps, warmup = 0, decay = Math.max(1, Math.round(steps / 5)), floor = 0, shape = 'sqrt' }: WsdOptions): Schedule {
  const rising = warmupLinear({ peak, warmup });
  checkDecay('wsd', { peak, floor, steps, warmup });
  checkInteger('wsd', 'decay', decay);
  checkOneOf('wsd', 'shape', shape, Object.keys(REMAINING) as (keyof typeof REMAINING)[]);
  if (warmup + decay > steps) throw new ConfigError(`wsd: warmup + decay must be at most steps (${steps}), got ${warmup} + ${decay}`);
  const start = steps - decay;
  return withPeak(peak, (step) => {
    if (step < start) return rising(step);
    return floor + (peak - floor) * REMAINING[shape](Math.min(1, (step - start) / decay));
  });
}
