import { checkDtype, ConfigError, hasListKernel, runListKernel } from '@evenkeel/core-tensor';
import { mean, reshape, sqrt, square, stack, tidy, type Tensor, type Tensor1D } from '@tensorflow/tfjs-core';

/**
 * rootMeanSquares — √mean(x²) of each tensor of a list: one kernel for all of them where the backend has it.
 *
 * @param xs  float32; borrowed.
 * @returns   one number per tensor; the caller's.
 * @throws ShapeError   if one is not float32.
 * @throws ConfigError  if there is none.
 */
export function rootMeanSquares(xs: readonly Tensor[]): Tensor1D {
  if (xs.length === 0) throw new ConfigError('rootMeanSquares: xs must have at least one tensor, got none');
  xs.forEach((x, i) => checkDtype('rootMeanSquares', `xs[${i}]`, x, 'float32'));
  return tidy('rootMeanSquares', () => sqrt(meanSquares(xs))) as Tensor1D;
}

function meanSquares(xs: readonly Tensor[]): Tensor {
  if (hasListKernel('evenkeel/meanSquares')) return runListKernel('evenkeel/meanSquares', { x: xs }) as unknown as Tensor;
  return stack(xs.map((x) => tidy(() => mean(square(reshape(x, [x.size]))))));
}
