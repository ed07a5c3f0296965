import { checkInteger, fusedOp, param, runKernel } from '@evenkeel/core-tensor';
import { ones as onesTensor, tidy, zeros as zerosTensor, type Tensor, type Variable } from '@tensorflow/tfjs-core';
import { checkNorm } from './checkNorm.ts';
import { referenceLayerNorm } from './reference/layerNorm.ts';

/** LayerNormParams — `weight: c` (gain) and `bias: c` (offset); either may be absent. */
export type LayerNormParams = { weight?: Tensor; bias?: Tensor };
export type LayerNormOptions = {
  /** Added to the variance, so in the unit of x²; default 1e-5. */
  eps?: number;
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
  checkNorm('layerNorm', x, { weight, bias }, eps);
  return tidy('layerNorm', () => fusedLayerNorm({ x, weight, bias }, { eps })) as T;
}

/** initLayerNorm — `weight` all 1 and `bias` all 0 (absent with `bias: false`), as variables; free them with `tf.dispose`. */
export function initLayerNorm(dim: number, { bias = true }: { bias?: boolean } = {}): { weight: Variable; bias?: Variable } {
  checkInteger('initLayerNorm', 'dim', dim);
  const weight = param(() => onesTensor([dim]));
  return bias ? { weight, bias: param(() => zerosTensor([dim])) } : { weight };
}
