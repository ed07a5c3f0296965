import { ConfigError, type Schedule } from '@evenkeel/core-tensor';

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
