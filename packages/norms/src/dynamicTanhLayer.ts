import { checkInteger, checkPositive, ones, zeros, type Initialiser, type LayerPlace, type NormFactory, type ParamRole } from '@evenkeel/core-tensor';
import { fill } from '@tensorflow/tfjs-core';
import { dynamicTanh, type DynamicTanhOptions, type DynamicTanhParams } from './dynamicTanh.ts';
import { normSpec } from './normSpec.ts';

/**
 * dynamicTanhLayer — dynamic tanh as a value for models, where they have a norm: `transformerBlock({ norm: dynamicTanhLayer(), … })`.
 *
 * @param options  `alpha` (first value, default 0.5; the paper's language models want more in narrow models and before attention, §7);
 *                 `bias` (default true).
 * @returns        a NormFactory; its layers have params `alpha: 1` (role scalar), `weight: c` (role norm) and `bias: c` (role bias).
 * @throws ConfigError  if `alpha` is not positive.
 */
export function dynamicTanhLayer({ alpha = 0.5, bias = true }: DynamicTanhOptions = {}): NormFactory {
  checkPositive('dynamicTanhLayer', 'alpha', alpha);
  const initialisers: Partial<Record<ParamRole, Initialiser>> = { scalar: () => fill([1], alpha), norm: ones, bias: zeros };
  return (dim: number, place?: LayerPlace) => {
    checkInteger('dynamicTanhLayer', 'dim', dim);
    const { axes: _, ...ofAll } = normSpec(1, 'norm', place);
    return {
      specs: {
        alpha: { ...ofAll, axes: 'one', role: 'scalar' },
        weight: normSpec(dim, 'norm', place),
        ...(bias && { bias: normSpec(dim, 'bias', place) }),
      },
      initialiserOf: ({ role }) => initialisers[role] as Initialiser,
      apply: (x, params) => dynamicTanh(x, params as DynamicTanhParams),
    };
  };
}
