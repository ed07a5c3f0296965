import { checkInteger, checkPositive, ones, zeros, type LayerPlace, type NormFactory, type ParamSpec, type Tree } from '@evenkeel/core-tensor';
import { addLayerNorm } from './addLayerNorm.ts';
import { layerNorm, type LayerNormOptions, type LayerNormParams } from './layerNorm.ts';
import { normSpec } from './normSpec.ts';

export type LayerNormLayerOptions = LayerNormOptions & {
  /** Whether the layer has an offset; default true. */
  bias?: boolean;
};

/**
 * layerNormLayer — LayerNorm as a value for models: `transformerBlock({ norm: layerNormLayer(), … })`.
 *
 * @param options  `eps` (default 1e-5); `bias` (default true).
 * @returns        a NormFactory; its layers have params `weight: c` (role norm) and `bias: c` (role bias).
 */
export function layerNormLayer({ eps = 1e-5, bias = true }: LayerNormLayerOptions = {}): NormFactory {
  checkPositive('layerNormLayer', 'eps', eps);
  return (dim: number, place?: LayerPlace) => {
    checkInteger('layerNormLayer', 'dim', dim);
    const weight = normSpec(dim, 'norm', place);
    const specs: Tree<ParamSpec> = bias ? { weight, bias: normSpec(dim, 'bias', place) } : { weight };
    return {
      specs,
      initialiserOf: ({ role }: ParamSpec) => (role === 'norm' ? ones : zeros),
      apply: (x, params) => layerNorm(x, params as LayerNormParams, { eps }),
      applyToSum: (x, residual, params) => addLayerNorm(x, residual, params as LayerNormParams, { eps }),
    };
  };
}
