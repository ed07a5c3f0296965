import {
  checkDtype, checkInteger, checkLastDim, checkMinRank, checkPositive, checkRank, fusedOp, ones, param, runKernel, zeros,
  type LayerPlace, type NormFactory, type ParamSpec, type Tree,
} from '@evenkeel/core-tensor';
import { ones as onesTensor, tidy, zeros as zerosTensor, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { normSpec } from './normSpec.ts';
import { referenceLayerNorm } from './reference/layerNorm.ts';

/** LayerNormParams — `weight: c` (gain) and `bias: c` (offset); either may be absent. */
export type LayerNormParams = { weight?: Tensor; bias?: Tensor };
export type LayerNormOptions = {
  /** Added to the variance, so in the unit of x²; default 1e-5. */
  eps?: number;
};
export type LayerNormLayerOptions = LayerNormOptions & {
  /** Whether the layer has an offset; default true. */
  bias?: boolean;
};

type Inputs = { x: Tensor; weight?: Tensor; bias?: Tensor };

const fusedLayerNorm = fusedOp<Inputs, { eps: number }>({
  name: 'evenkeel/layerNorm',
  reference: referenceLayerNorm,
  gradient: {
    kernels: ['evenkeel/layerNormGrad'],
    run: ({ dy, inputs: { x, weight }, attrs }) => {
      const [dx, dweight, dbias] = runKernel<Tensor[]>('evenkeel/layerNormGrad', { x, weight, dy }, attrs);
      return { x: dx, weight: dweight, bias: dbias };
    },
  },
  differentiable: 'once',
});

/**
 * layerNorm — moves each row to mean 0 and variance 1, then scales and shifts it.
 *
 *     y = weight · (x − mean(x)) / √(var(x) + eps) + bias        var = mean((x − mean(x))²)
 *
 * @param x        `... c` — activations, float32, rank ≥ 1; rows are the last axis.
 * @param params   `weight: c` (default 1) and `bias: c` (default 0).
 * @param options  `eps` (default 1e-5) is added to the variance, so it has the unit of x².
 * @returns        `... c` — a new tensor owned by the caller.
 * @throws ShapeError   if a tensor is not float32, or the last axis of `x` is not as long as `weight` and `bias`.
 * @throws ConfigError  if `eps` is not positive.
 *
 * Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. 4. Departs from the paper: `eps`, absent there.
 */
export function layerNorm<T extends Tensor>(x: T, { weight, bias }: LayerNormParams, { eps = 1e-5 }: LayerNormOptions = {}): T {
  checkDtype('layerNorm', 'x', x, 'float32');
  checkMinRank('layerNorm', 'x', x, 1);
  for (const [name, vector] of [['weight', weight], ['bias', bias]] as const) {
    if (vector === undefined) continue;
    checkDtype('layerNorm', name, vector, 'float32');
    checkRank('layerNorm', name, vector, 1);
    checkLastDim('layerNorm', 'x', x, vector.size);
  }
  checkPositive('layerNorm', 'eps', eps);
  return tidy('layerNorm', () => fusedLayerNorm({ x, weight, bias }, { eps })) as T;
}

/** initLayerNorm — `weight` all 1 and `bias` all 0 (absent with `bias: false`), as variables; free them with `tf.dispose`. */
export function initLayerNorm(dim: number, { bias = true }: { bias?: boolean } = {}): { weight: Variable; bias?: Variable } {
  checkInteger('initLayerNorm', 'dim', dim);
  const weight = param(() => onesTensor([dim]));
  return bias ? { weight, bias: param(() => zerosTensor([dim])) } : { weight };
}

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
    };
  };
}
