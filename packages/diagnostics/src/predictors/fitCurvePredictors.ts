import { ConfigError } from '@evenkeel/core-tensor';
import type { MassiveActivationCurve } from '../massive/massiveActivationCurve.ts';
import { crossValidate, fitRidge, type RidgeOptions } from './fitRidge.ts';
import { fitYeoJohnson, yeoJohnson, yeoJohnsonInverse } from './yeoJohnson.ts';

/** CurveSample — what is known of a layer (`architectureFeatures`) and the curve that its massive activations followed. */
export type CurveSample = {
  readonly features: Readonly<Record<string, number>>;
  readonly curve: MassiveActivationCurve;
  /** Which model it is a layer of: layers of one model are left out of a fit together. Default each layer by itself. */
  readonly model?: string;
};

export type CurvePredictors = {
  predict(features: Readonly<Record<string, number>>): MassiveActivationCurve;
  /** R² of each parameter, transformed, in predictions for samples that were left out: below 0 a predictor is worse than none. */
  readonly r2: Readonly<Record<keyof MassiveActivationCurve, number>>;
};

const PARAMETERS = ['A', 'lambda', 'gamma', 't0', 'K'] as const;

/**
 * fitCurvePredictors — predicts how massive activations of a layer will grow from its architecture: one ridge regression per parameter of the
 * curve, of ln(1 + parameter) or, for K, of its Yeo-Johnson transform.
 *
 * @param samples  layers of trained models, ten or more.
 * @param options  `alpha`: see `fitRidge`.
 * @throws ConfigError  if there are fewer samples, one lacks a feature, or a number is not finite.
 *
 * Source: arXiv:2508.03616, §5. Departs from the paper: ridge regression only, where it also tries forests and boosted trees. Expect little for
 * gamma, and nothing for models of another family.
 */
export function fitCurvePredictors(samples: readonly CurveSample[], options: RidgeOptions = {}): CurvePredictors {
  if (samples.length < 10) throw new ConfigError(`fitCurvePredictors: samples must be at least 10, got ${samples.length}`);
  const groups = samples.every(({ model }) => model !== undefined) ? samples.map(({ model }) => model as string) : undefined;
  const models = PARAMETERS.map((name) => {
    const values = samples.map(({ curve }) => curve[name]);
    const lambda = name === 'K' ? fitYeoJohnson(values) : 0;
    const transformed = samples.map(({ features }, i) => ({ features, target: yeoJohnson(values[i] as number, lambda) }));
    return { name, lambda, ridge: fitRidge(transformed, options), r2: crossValidate(transformed, options, groups) };
  });
  const byName = <T>(of: (model: (typeof models)[number]) => T) => Object.fromEntries(models.map((model) => [model.name, of(model)])) as Record<keyof MassiveActivationCurve, T>;
  return {
    predict: (features) => byName(({ lambda, ridge }) => yeoJohnsonInverse(ridge.predict(features), lambda)),
    r2: byName(({ r2 }) => r2),
  };
}
