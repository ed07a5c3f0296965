import { add, mean, mul, rsqrt, square, type Tensor } from '@tensorflow/tfjs-core';

/** referenceRmsNorm — RMS normalisation in tfjs ops: the truth that kernels are held to, differentiable to every order. */
export function referenceRmsNorm({ x, weight }: { x: Tensor; weight?: Tensor }, { eps }: { eps: number }): Tensor {
  const meanSquare = mean(square(x), -1, true); // ... 1
  const normalised = mul(x, rsqrt(add(meanSquare, eps))); // ... c
  return weight === undefined ? normalised : mul(normalised, weight);
}
