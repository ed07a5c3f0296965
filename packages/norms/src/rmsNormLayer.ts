import { checkInteger, checkPositive, ones, type LayerPlace, type NormFactory } from '@evenkeel/core-tensor';
import { addRmsNorm } from './addRmsNorm.ts';
import { normSpec } from './normSpec.ts';
import { rmsNorm, type RmsNormOptions, type RmsNormParams } from './rmsNorm.ts';

/**
 * rmsNormLayer — RMSNorm as a value for models: `transformerBlock({ norm: rmsNormLayer(), … })`.
 *
 * @param options  `eps` (default 1e-6).
 * @returns        a NormFactory; its layers have the one parameter `weight: c` (role norm).
 */
export function rmsNormLayer({ eps = 1e-6 }: RmsNormOptions = {}): NormFactory {
  checkPositive('rmsNormLayer', 'eps', eps);
  return (dim: number, place?: LayerPlace) => {
    checkInteger('rmsNormLayer', 'dim', dim);
    return {
      specs: { weight: normSpec(dim, 'norm', place) },
      initialiserOf: () => ones,
      apply: (x, params) => rmsNorm(x, params as RmsNormParams, { eps }),
      applyToSum: (x, residual, params) => addRmsNorm(x, residual, params as RmsNormParams, { eps }),
    };
  };
}
