import { checkInteger, checkPositive, checkRange, ConfigError, type Schedule } from '@evenkeel/core-tensor';

/** constant — the same value at every step. */
export function constant(value: number): Schedule {
  checkRange('constant', 'value', value, 0, Number.MAX_VALUE);
  return withPeak(value, () => value);
}

export type WarmupLinearOptions = { peak: number; warmup: number };

/**
 * warmupLinear — rises in equal steps to `peak` over the first `warmup` steps, then stays there.
 *
 *     peak · (step + 1) / (warmup + 1)        so the first step already moves, and step `warmup` is the first at the peak
 *
 * @throws ConfigError  if `peak` is not positive or `warmup` is not an integer ≥ 0.
 */
export function warmupLinear({ peak, warmup }: WarmupLinearOptions): Schedule {
  checkPositive('warmupLinear', 'peak', peak);
  checkInteger('warmupLinear', 'warmup', warmup, 0);
  return withPeak(peak, (step) => (step < warmup ? (peak * (step + 1)) / (warmup + 1) : peak));
}

/** withPeak — a schedule that says its largest value. */
export const withPeak = (peak: number, schedule: (step: number) => number): Schedule => Object.assign(schedule, { peak });

export type CosineOptions = {
  peak: number;
  /** Steps of the whole run, warm-up included; from there on the value is `floor`. */
  steps: number;
  warmup?: number;
  floor?: number;
};

/**
 * cosine — warms up linearly to `peak`, then falls along half a cosine to `floor` at `steps`.
 *
 *     floor + (peak − floor) · (1 + cos(π · (step − warmup) / (steps − warmup))) / 2
 *
 * @param options  `peak` and `floor` (default 0) are values, `steps` and `warmup` (default 0) are counts of steps.
 * @throws ConfigError  if `warmup` is not below `steps` or `floor` is above `peak`.
 *
 * Source: Loshchilov & Hutter 2016, arXiv:1608.03983, without restarts; GPT-3, arXiv:2005.14165, uses `floor` = peak / 10.
 */
export function cosine({ peak, steps, warmup = 0, floor = 0 }: CosineOptions): Schedule {
  const rising = warmupLinear({ peak, warmup });
  checkDecay('cosine', { peak, floor, steps, warmup });
  return withPeak(peak, (step) => {
    if (step < warmup) return rising(step);
    const progress = Math.min(1, (step - warmup) / (steps - warmup));
    return floor + ((peak - floor) * (1 + Math.cos(Math.PI * progress))) / 2;
  });
}

/** checkDecay — throws ConfigError unless a schedule can warm up within `steps` and fall from `peak` to `floor`. */
export function checkDecay(fn: string, { peak, floor, steps, warmup }: Required<CosineOptions>): void {
  checkInteger(fn, 'steps', steps);
  checkRange(fn, 'floor', floor, 0, peak);
  if (warmup >= steps) throw new ConfigError(`${fn}: warmup must be below steps (${steps}), got ${warmup}`);
}

/** SchedulePhase — a schedule for some steps; the last phase of a run needs no number. */
export type SchedulePhase = { schedule: Schedule; steps?: number };

/**
 * joinSchedules — one schedule after the other; each counts its own steps from 0.
 *
 *     joinSchedules([{ schedule: warmupLinear({ peak, warmup: 100 }), steps: 1000 }, { schedule: cosine({ peak, steps: 500 }) }])
 *
 * @throws ConfigError  if there is no phase, or one before the last has no number of steps.
 */
export function joinSchedules(phases: readonly SchedulePhase[]): Schedule {
  if (phases.length === 0) throw new ConfigError('joinSchedules: phases must have at least one schedule, got none');
  phases.slice(0, -1).forEach(({ steps }, index) => checkInteger('joinSchedules', `phases[${index}].steps`, steps ?? NaN));
  const starts = phases.map((_, index) => phases.slice(0, index).reduce((sum, { steps }) => sum + (steps as number), 0));
  const joined = (step: number): number => {
    const index = Math.max(0, starts.findLastIndex((start) => start <= step));
    return (phases[index] as SchedulePhase).schedule(step - (starts[index] as number));
  };
  const peaks = phases.flatMap(({ schedule: { peak } }) => peak ?? []);
  return peaks.length === phases.length ? withPeak(Math.max(...peaks), joined) : joined;
}
