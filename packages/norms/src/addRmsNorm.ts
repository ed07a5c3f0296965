import { fusedOp, runKernel } from '@evenkeel/core-tensor';
import { add, clone, tidy, type Tensor } from '@tensorflow/tfjs-core';
import { checkNorm, checkResidual } from './checkNorm.ts';
import { referenceRmsNorm } from './reference/rmsNorm.ts';
import { checkGainOffset, gainOf, type RmsNormOptions, type RmsNormParams } from './rmsNorm.ts';

type Inputs = { x: Tensor; residual: Tensor; weight?: Tensor };

function referenceAddRmsNorm({ x, residual, weight }: Inputs, attrs: { eps: number }): Tensor[] {
  const sum = add(x, residual);
  return [referenceRmsNorm({ x: sum, weight }, attrs), sum];
}

const fusedAddRmsNorm = fusedOp<Inputs, { eps: number }, Tensor[]>({
  name: 'evenkeel/addRmsNorm',
  reference: referenceAddRmsNorm,
  gradient: {
    kernels: ['evenkeel/rmsNormGrad'],
    saveOutputs: [1],
    readsInputs: ['weight'],
    run: ({ dys: [dy, dsum], inputs: { weight }, outputs: [sum], attrs }) => {
      const [dx, dweight] = runKernel<[Tensor, Tensor]>('evenkeel/rmsNormGrad', { x: sum, weight, dy, dsum }, attrs);
      return { x: dx, residual: () => clone(dx), weight: dweight };
    },
  },
  differentiable: 'once',
});

/**
 * addRmsNorm — a residual connection and the RMS norm that reads it, in one pass over memory.
 *
 *     sum = x + residual        y = rmsNorm(sum)
 *
 * @param x         `... c` — what a branch adds to the residual stream, float32, rank ≥ 1; rows are the last axis.
 * @param residual  `... c` — the residual stream, of the same shape.
 * @param params    as for `rmsNorm`.
 * @param options   as for `rmsNorm`.
 * @returns         `y: ... c` and `sum: ... c` — new tensors owned by the caller. Its gradient is made for both being used; where `y`
 *                  alone is, `rmsNorm(add(x, residual))` costs less.
 * @throws ShapeError   as `rmsNorm`, and if `residual` is not float32 of the shape of `x`.
 * @throws ConfigError  as `rmsNorm`.
 *
 * Source: Zhang & Sennrich 2019, arXiv:1910.07467, §4, on the sum of Xiong et al. 2020, arXiv:2002.04745.
 */
export function addRmsNorm<T extends Tensor>(
  x: T, residual: T, { weight }: RmsNormParams, { eps = 1e-6, gainOffset = 0 }: RmsNormOptions = {},
): { y: T; sum: T } {
  checkNorm('addRmsNorm', x, { weight }, eps);
  checkGainOffset('addRmsNorm', gainOffset);
  checkResidual('addRmsNorm', x, residual);
  const [y, sum] = tidy('addRmsNorm', () => fusedAddRmsNorm({ x, residual, weight: gainOf(weight, gainOffset) }, { eps })) as [T, T];
  return { y, sum };
}
