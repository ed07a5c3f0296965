import { reshape, type Tensor, type Tensor2D } from '@tensorflow/tfjs-core';

/** matrixOf — a parameter as the matrix whose norm counts: `o …` to `o i`, so that a kernel `o c h w` has rows of c·h·w numbers. */
export function matrixOf(weight: Tensor): Tensor2D {
  const [outDim, inDim] = matrixShape(weight.shape);
  return reshape(weight, [outDim, inDim]);
}

/** matrixShape — its sizes. */
export function matrixShape([outDim = 1, ...rest]: readonly number[]): [outDim: number, inDim: number] {
  return [outDim, rest.reduce((product, size) => product * size, 1)];
}
