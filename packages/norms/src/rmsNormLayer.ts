import { checkInteger, checkPositive, ones, zeros, type LayerPlace, type NormFactory } from '@evenkeel/core-tensor';
import { addRmsNorm } from './addRmsNorm.ts';
import { normSpec } from './normSpec.ts';
import { checkGainOffset, rmsNorm, type RmsNormOptions, type RmsNormParams } from './rmsNorm.ts';

/**
 * rmsNormLayer — RMSNorm as a value for models: `transformerBlock({ norm: rmsNormLayer(), … })`.
 *
 * @param options  `eps` (default 1e-6); `gainOffset` (default 0; 1 as Gemma stores its gains).
 * @returns        a NormFactory; its layers have the one parameter `weight: c` (role norm), which starts so that the gain is 1.
 * @throws ConfigError  if `eps` is not positive, or `gainOffset` neither 0 nor 1.
 */
export function rmsNormLayer({ eps = 1e-6, gainOffset = 0 }: RmsNormOptions = {}): NormFactory {
  checkPositive('rmsNormLayer', 'eps', eps);
  checkGainOffset('rmsNormLayer', gainOffset);
  const options = { eps, gainOffset };
  return (dim: number, place?: LayerPlace) => {
    checkInteger('rmsNormLayer', 'dim', dim);
    return {
      specs: { weight: normSpec(dim, 'norm', place) },
      initialiserOf: () => (gainOffset === 0 ? ones : zeros),
      apply: (x, params) => rmsNorm(x, params as RmsNormParams, options),
      applyToSum: (x, residual, params) => addRmsNorm(x, residual, params as RmsNormParams, options),
    };
  };
}
