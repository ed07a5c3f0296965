import { checkPositive, ConfigError } from '@evenkeel/core-tensor';
import { leastSquares } from '../fitting/leastSquares.ts';

export type RidgeSample = { readonly features: Readonly<Record<string, number>>; readonly target: number };
export type RidgeOptions = {
  /** Weight of the squared coefficients beside the squared errors, features having variance 1. Default 1. */
  readonly alpha?: number;
};

export type Ridge = {
  /** Change of the target per standard deviation of a feature, by name. */
  readonly weights: Readonly<Record<string, number>>;
  /** Of the samples it was fitted to; see `crossValidate` for others. */
  readonly r2: number;
  predict(features: Readonly<Record<string, number>>): number;
};

/**
 * fitRidge — a linear model of standardised features whose coefficients are kept small.
 *
 *     min over w, b of Σ (target − b − w · z)² + alpha ‖w‖²,   z = (features − mean)/deviation
 *
 * @param samples  at least two; all with the features of the first.
 * @throws ConfigError  if there are fewer, one lacks a feature or has one that is not finite, or `alpha` is not above 0.
 *
 * Source: Hoerl & Kennard 1970, doi:10.1080/00401706.1970.10488634.
 */
export function fitRidge(samples: readonly RidgeSample[], { alpha = 1 }: RidgeOptions = {}): Ridge {
  checkPositive('fitRidge', 'alpha', alpha);
  if (samples.length < 2) throw new ConfigError(`fitRidge: samples must be at least 2, got ${samples.length}`);
  const names = Object.keys(samples[0]!.features);
  samples.forEach(({ features, target }, i) => checkSample(names, { ...features, target }, i));
  const scales = names.map((name) => scaleOf(samples.map(({ features }) => features[name] as number)));
  const standardise = (features: Readonly<Record<string, number>>): number[] =>
    names.map((name, k) => ((features[name] as number) - scales[k]!.mean) / (scales[k]!.deviation || 1)); // a feature that never varies is 0
  const bias = scaleOf(samples.map(({ target }) => target));
  const penalty = names.map((_, k) => names.map((__, j) => (j === k ? Math.sqrt(alpha) : 0)));
  const rows = [...samples.map(({ features }) => standardise(features)), ...penalty];
  const w = leastSquares(rows, [...samples.map(({ target }) => target - bias.mean), ...names.map(() => 0)]);
  const predict = (features: Readonly<Record<string, number>>): number => {
    checkSample(names, { ...features, target: 0 }, undefined);
    return bias.mean + standardise(features).reduce((sum, value, k) => sum + value * (w[k] as number), 0);
  };
  return { weights: Object.fromEntries(names.map((name, k) => [name, w[k] as number])), r2: r2Of(samples, predict), predict };
}

/**
 * crossValidate — R² of predictions for samples that were left out of the fit, group by group: what a predictor is really worth.
 *
 * @param groups  one per sample: those of one group, such as the layers of one model, are left out together. Default five groups, in turn.
 * @throws ConfigError  as fitRidge, or if there are not as many groups as samples.
 */
export function crossValidate(samples: readonly RidgeSample[], options: RidgeOptions = {}, groups?: readonly (string | number)[]): number {
  const FOLDS = 5;
  const keys = groups ?? samples.map((_, i) => i % FOLDS);
  if (keys.length !== samples.length) throw new ConfigError(`crossValidate: groups must be as many as samples, ${samples.length}, got ${keys.length}`);
  const predictions = new Map<RidgeSample, number>();
  for (const key of new Set(keys)) {
    const model = fitRidge(samples.filter((_, i) => keys[i] !== key), options);
    samples.forEach((sample, i) => void (keys[i] === key && predictions.set(sample, model.predict(sample.features))));
  }
  return r2Of(samples, (_, sample) => predictions.get(sample) as number);
}

function r2Of(samples: readonly RidgeSample[], predict: (features: RidgeSample['features'], sample: RidgeSample) => number): number {
  const { mean } = scaleOf(samples.map(({ target }) => target));
  const sumOfSquares = (residual: (sample: RidgeSample) => number): number => samples.reduce((sum, sample) => sum + residual(sample) ** 2, 0);
  return 1 - sumOfSquares((sample) => sample.target - predict(sample.features, sample)) / sumOfSquares(({ target }) => target - mean);
}

function scaleOf(values: readonly number[]): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, deviation: Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) };
}

function checkSample(names: readonly string[], values: Readonly<Record<string, number>>, index: number | undefined): void {
  for (const name of [...names, 'target']) {
    if (Number.isFinite(values[name])) continue;
    throw new ConfigError(`fitRidge: ${index === undefined ? 'features' : `samples[${index}]`} must have a finite number ${name}, got ${String(values[name])}`);
  }
}
