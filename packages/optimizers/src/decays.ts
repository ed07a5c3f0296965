import { checkInteger, checkOneOf, checkPositive, checkRange, type Schedule } from '@evenkeel/core-tensor';
import { checkDecay, warmupLinear, withPeak, type CosineOptions } from './schedules.ts';
import { REMAINING } from './wsd.ts';

export type PolynomialDecayOptions = CosineOptions & { power?: number };

/**
 * polynomialDecay — warms up linearly to `peak`, then falls as a power of what is left of the run, to `floor` at `steps`.
 *
 *     floor + (peak − floor) · ((steps − step) / (steps − warmup))^power
 *
 * @param options  as of `cosine`; `power` (default 2) is positive: 1 is a straight line, 2 leaves the peak fastest.
 * @throws ConfigError  if `warmup` is not below `steps`, `floor` is above `peak`, or `power` is not positive.
 */
export function polynomialDecay({ peak, steps, warmup = 0, floor = 0, power = 2 }: PolynomialDecayOptions): Schedule {
  return falling('polynomialDecay', { peak, steps, warmup, floor, power });
}

/**
 * linearDecay — warms up linearly to `peak`, then falls in a straight line to `floor` at `steps`.
 *
 *     floor + (peak − floor) · (steps − step) / (steps − warmup)
 *
 * @param options  as of `cosine`.
 * @throws ConfigError  if `warmup` is not below `steps` or `floor` is above `peak`.
 *
 * Source: BERT, arXiv:1810.04805, appendix A.2; MosaicBERT, arXiv:2312.17482, ends at `floor` = peak / 50.
 */
export function linearDecay({ peak, steps, warmup = 0, floor = 0 }: CosineOptions): Schedule {
  return falling('linearDecay', { peak, steps, warmup, floor, power: 1 });
}

function falling(fn: string, { peak, steps, warmup, floor, power }: Required<PolynomialDecayOptions>): Schedule {
  const rising = warmupLinear({ peak, warmup });
  checkDecay(fn, { peak, floor, steps, warmup });
  checkPositive(fn, 'power', power);
  return withPeak(peak, (step) => (step < warmup ? rising(step) : floor + (peak - floor) * Math.max(0, (steps - step) / (steps - warmup)) ** power));
}

export type InverseSqrtOptions = {
  peak: number;
  /** Steps of the rise, at least 1; also how slowly it falls afterwards. */
  warmup: number;
};

/**
 * inverseSqrt — warms up linearly to `peak`, then falls as 1/√step: by half whenever the number of steps is fourfold. It knows no end.
 *
 *     peak · min((step + 1) / (warmup + 1), √((warmup + 1) / (step + 1)))
 *
 * @throws ConfigError  if `peak` is not positive or `warmup` is not an integer ≥ 1.
 *
 * Source: Vaswani et al. 2017, arXiv:1706.03762, §5.3, where peak = dim^−0.5 · warmup^−0.5.
 */
export function inverseSqrt({ peak, warmup }: InverseSqrtOptions): Schedule {
  checkPositive('inverseSqrt', 'peak', peak);
  checkInteger('inverseSqrt', 'warmup', warmup);
  const reached = warmup + 1;
  return withPeak(peak, (step) => peak * Math.min((step + 1) / reached, Math.sqrt(reached / (step + 1))));
}

export type CooldownOptions = {
  /** The first step of the fall: until then it is the schedule that was given. */
  start: number;
  /** Steps of the fall. */
  steps: number;
  floor?: number;
  shape?: keyof typeof REMAINING;
};

/**
 * cooldown — any schedule up to `start`, then a fall from the value it has there to `floor`.
 *
 * So a run of unknown length (`warmupLinear`, `inverseSqrt`) is ended from any of its checkpoints; `wsd` is the same for a known length.
 *
 * @param schedule  asked for steps below `start`, and once for `start`.
 * @param options   `shape` of the fall: `sqrt` (1 − √progress, default), `linear` or `cosine`; `floor` (0).
 * @throws ConfigError  if a count is not an integer, `floor` is above what the schedule has at `start`, or `shape` is unknown.
 *
 * Source: Hägele et al. 2024, arXiv:2405.18392, §4.
 */
export function cooldown(schedule: Schedule, { start, steps, floor = 0, shape = 'sqrt' }: CooldownOptions): Schedule {
  checkInteger('cooldown', 'start', start, 0);
  checkInteger('cooldown', 'steps', steps);
  checkOneOf('cooldown', 'shape', shape, Object.keys(REMAINING) as (keyof typeof REMAINING)[]);
  const from = schedule(start);
  checkRange('cooldown', 'floor', floor, 0, from);
  const cooled = (step: number): number => (step < start ? schedule(step) : floor + (from - floor) * REMAINING[shape](Math.min(1, (step - start) / steps)));
  return schedule.peak === undefined ? cooled : withPeak(schedule.peak, cooled);
}
