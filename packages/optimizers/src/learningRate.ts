import { checkPositive, ConfigError, type Schedule } from '@evenkeel/core-tensor';

/** checkLearningRate — throws ConfigError unless `learningRate` is a schedule or a finite number ≥ 0. */
export function checkLearningRate(fn: string, learningRate: number | Schedule): void {
  if (typeof learningRate !== 'function') checkRate(fn, 'learningRate', learningRate);
}

/**
 * learningRateAt — the learning rate of a step, counted from 0.
 *
 * @throws ConfigError  if a schedule gives anything but a finite number ≥ 0; the message names the step.
 */
export function learningRateAt(fn: string, learningRate: number | Schedule, step: number): number {
  const rate = typeof learningRate === 'function' ? learningRate(step) : learningRate;
  checkRate(fn, `learningRate at step ${step}`, rate);
  return rate;
}

function checkRate(fn: string, arg: string, rate: number): void {
  if (!(Number.isFinite(rate) && rate >= 0)) throw new ConfigError(`${fn}: ${arg} must be a finite number ≥ 0, got ${String(rate)}`);
}

/**
 * peakOf — the largest learning rate: the number itself, what was given, or what the schedule says of itself.
 *
 * @throws ConfigError  if the schedule does not say, and nothing was given; or if it is not a positive number.
 */
export function peakOf(fn: string, learningRate: number | Schedule, given?: number): number {
  const peak = given ?? (typeof learningRate === 'function' ? learningRate.peak : learningRate);
  if (peak === undefined) throw new ConfigError(`${fn}: peakLearningRate must be given with a schedule that has no property peak, got undefined`);
  checkPositive(fn, 'peakLearningRate', peak);
  return peak;
}
