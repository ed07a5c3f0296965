import { fusedOp, runKernel } from '@evenkeel/core-tensor';
import { add, clone, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { checkNorm, checkResidual } from './checkNorm.ts';
import type { LayerNormOptions, LayerNormParams } from './layerNorm.ts';
import { referenceLayerNorm } from './reference/layerNorm.ts';

type Inputs = { x: Tensor; residual: Tensor; weight?: Tensor; bias?: Tensor };

function referenceAddLayerNorm({ x, residual, weight, bias }: Inputs, attrs: { eps: number }): Tensor[] {
  const sum = add(x, residual);
  return [referenceLayerNorm({ x: sum, weight, bias }, attrs), sum];
}

const fusedAddLayerNorm = fusedOp<Inputs, { eps: number }, Tensor[]>({
  name: 'evenkeel/addLayerNorm',
  reference: referenceAddLayerNorm,
  gradient: {
    kernels: ['evenkeel/layerNormGrad'],
    saveOutputs: [1],
    readsInputs: ['weight'],
    run: ({ dys: [dy, dsum], inputs: { weight }, outputs: [sum], attrs }) => {
      const [dx, dweight, dbias] = runKernel<[Tensor, Tensor, Tensor]>('evenkeel/layerNormGrad', { x: sum, weight, dy, dsum }, attrs);
      return { x: dx, residual: () => clone(dx), weight: dweight, bias: dbias };
    },
  },
  differentiable: 'once',
});

/**
 * addLayerNorm — a residual connection and the layer norm that reads it, in one pass over memory.
 *
 *     sum = x + residual        y = layerNorm(sum)
 *
 * @param x         `... c` — what a branch adds to the residual stream, float32, rank ≥ 1; rows are the last axis.
 * @param residual  `... c` — the residual stream, of the same shape.
 * @param params    as for `layerNorm`.
 * @param options   as for `layerNorm`.
 * @returns         `y: ... c` and `sum: ... c` — new tensors owned by the caller. Its gradient is made for both being used; where `y`
 *                  alone is, `layerNorm(add(x, residual))` costs less.
 * @throws ShapeError   as `layerNorm`, and if `residual` is not float32 of the shape of `x`.
 * @throws ConfigError  if `eps` is not positive.
 *
 * Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450, eq. 4, on the sum of Xiong et al. 2020, arXiv:2002.04745.
 */
export function addLayerNorm<T extends Tensor>(
  x: T, residual: T, { weight, bias }: LayerNormParams, { eps = 1e-5 }: LayerNormOptions = {},
): { y: T; sum: T } {
  checkNorm('addLayerNorm', x, { weight, bias }, eps);
  checkResidual('addLayerNorm', x, residual);
  const [y, sum] = tidy('addLayerNorm', () => fusedAddLayerNorm({ x, residual, weight, bias }, { eps })) as [T, T];
  return { y, sum };
}
